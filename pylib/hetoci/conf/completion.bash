# SPDX-License-Identifier: MIT
# bash completion for hetoci(1)
_hetoci_containers() {
    hetoci ps --json 2>/dev/null | sed -n 's/^ *"id": "\(.*\)",$/\1/p'
}

_hetoci() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} word verb=""
    local verbs="create run start state kill delete exec pause resume ps ps-all list features update"
    verbs+=" events devices plan reap image help version"
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == -* ]] || case " $verbs " in *" $word "*) verb=$word; break ;; esac
    done
    case $previous in
        --bundle | -b | --root) mapfile -t COMPREPLY < <(compgen -d -- "$current"); return ;;
        --log | --pid-file | --console-socket) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --log-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$current"); return ;;
        --format) mapfile -t COMPREPLY < <(compgen -W "table json" -- "$current"); return ;;
    esac
    case $verb in
        "") word="$verbs --root --log --log-format --version --help" ;;
        create) word="--bundle --pid-file --console-socket" ;;
        run) word="--detach --bundle --pid-file --console-socket" ;;
        devices) word="--json" ;;
        list | ps | ps-all) word="--format --quiet --json $(_hetoci_containers)" ;;
        reap) word="--quiet" ;;
        features | help | version) word="" ;;
        image)
            if [[ $previous == image ]]; then
                word="artifact build inspect validate"
            else
                mapfile -t COMPREPLY < <(compgen -f -- "$current"); return
            fi ;;
        plan) mapfile -t COMPREPLY < <(compgen -f -W "--json" -- "$current"); return ;;
        delete) word="--force $(_hetoci_containers)" ;;
        kill) word="$(_hetoci_containers) TERM KILL INT HUP QUIT" ;;
        *) word="$(_hetoci_containers)" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$word" -- "$current")
}
complete -F _hetoci hetoci
