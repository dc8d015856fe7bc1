# SPDX-License-Identifier: MIT
"""What each word on the command line does: one module a group of verbs, imported on use.

Every verb is a function (host, command line) -> exit code that raises HetociError.
"""
