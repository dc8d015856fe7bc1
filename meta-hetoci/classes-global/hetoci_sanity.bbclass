# SPDX-License-Identifier: MIT
# Ends the parse with a sentence and its remedy where the configuration cannot give what it asks
# for. The rules are in lib/hetoci_layer/sanity.py.

addhandler hetoci_sanity_handler
hetoci_sanity_handler[eventmask] = "bb.event.SanityCheck"

python hetoci_sanity_handler() {
    import hetoci_layer.sanity
    for sentence in hetoci_layer.sanity.remarks(e.data):
        bb.warn(sentence)
    found = hetoci_layer.sanity.problems(e.data)
    if found:
        bb.fatal("meta-hetoci cannot use this configuration:\n  " + "\n  ".join(found))
}
