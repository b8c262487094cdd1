# SPDX-License-Identifier: Apache-2.0
# bash completion for gordian

_gordian_attach() {
  case $2 in
    --json | =)
      mapfile -t COMPREPLY < <(compgen -f -- "$1")
      ;;
    *)
      if [[ $1 == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "--threads --watch --stall= --stop --strict --json= --help" -- "$1")
        [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
      else
        mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && printf '%s ' [0-9]*)" -- "$1")
      fi
      ;;
  esac
}

_gordian_predict() {
  case $2 in
    --memory)
      mapfile -t COMPREPLY < <(compgen -W "auto complete none" -- "$1")
      ;;
    *)
      if [[ $1 == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "--json= --memory= --refuted --strict --no-swaps --quiet --help" -- "$1")
        [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
      else
        mapfile -t COMPREPLY < <(compgen -f -- "$1")
        compopt -o filenames 2>/dev/null
      fi
      ;;
  esac
}

# The options of a command that starts a program, then the program: $1 word, $2 the options, $3 those
# that take a value, $4 the command's own words before the program.
_gordian_program() {
  local word=$1 options=$2 valued=$3 own=$4 i words=0
  for ((i = 2; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --) break ;;
      =) ((i++)) ;;
      -*) [[ " $valued " == *" ${COMP_WORDS[i]} "* && ${COMP_WORDS[i + 1]-} != = ]] && ((i++)) ;;
      *)
        ((words >= own)) && break
        ((words++))
        ;;
    esac
  done
  if ((i < COMP_CWORD)); then
    [[ ${COMP_WORDS[i]} == -- ]] && ((i++))
    if declare -F _command_offset >/dev/null && ((i <= COMP_CWORD)); then
      _command_offset "$i"
    else
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
  elif [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
  elif ((words < own)); then
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
    compopt -o filenames 2>/dev/null
  else
    mapfile -t COMPREPLY < <(compgen -c -- "$word")
  fi
}

_gordian() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} i
  local commands="run attach ps core predict export confirm explore explain order redis cc c++"
  COMPREPLY=()

  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "$commands help --help --version" -- "$word")
    return
  fi
  if [[ ${COMP_WORDS[1]} == core ]]; then
    [[ $word == = ]] && word=
    [[ $before == = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
    if [[ $word == -* ]]; then
      mapfile -t COMPREPLY < <(compgen -W "--exe= --sysroot= --json= --stall --threads --strict \
        --redact-argv --help" -- "$word")
      [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
    else
      mapfile -t COMPREPLY < <(compgen "$([[ $before == --sysroot ]] && echo -d || echo -f)" -- "$word")
      compopt -o filenames 2>/dev/null
    fi
    return
  fi
  if [[ ${COMP_WORDS[1]} == cc || ${COMP_WORDS[1]} == c++ ]]; then
    # The options are the compiler's, and it completes them itself where its completion is installed.
    if declare -F _command_offset >/dev/null; then
      COMP_WORDS[1]=g++
      _command_offset 1
    else
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      compopt -o filenames 2>/dev/null
    fi
    return
  fi
  if [[ ${COMP_WORDS[1]} == ps ]]; then
    mapfile -t COMPREPLY < <(compgen -W "--for= --help" -- "$word")
    [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
    return
  fi
  if [[ ${COMP_WORDS[1]} == redis ]]; then
    mapfile -t COMPREPLY < <(compgen -W "--prefix= --watch --json --dot --idle= --cacert= \
--cacertdir= --cert= --key= --sni= --insecure --help" -- "$word")
    [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
    return
  fi
  if [[ ${COMP_WORDS[1]} == attach ]]; then
    _gordian_attach "$word" "$before"
    return
  fi
  if [[ ${COMP_WORDS[1]} == predict ]]; then
    [[ $word == = ]] && word=
    [[ $before == = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
    _gordian_predict "$word" "$before"
    return
  fi
  if [[ ${COMP_WORDS[1]} == export ]]; then
    [[ $word == = ]] && word=
    if [[ $word == -* ]]; then
      mapfile -t COMPREPLY < <(compgen -W "--std --perfetto --pid= --output= --help" -- "$word")
      [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
    else
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      compopt -o filenames 2>/dev/null
    fi
    return
  fi
  if [[ ${COMP_WORDS[1]} == confirm ]]; then
    _gordian_program "$word" "--finding= --tries= --replay= --hold= --limit= --json= --no-children \
      --quiet --help --" "--finding --tries --replay --hold --limit --json" 1
    return
  fi
  if [[ ${COMP_WORDS[1]} == explore ]]; then
    _gordian_program "$word" "--runs= --time= --seed= --depth= --keep-going --limit= --json= \
      --no-children --quiet --help --" "--runs --time --seed --depth --limit --json" 0
    return
  fi
  if [[ ${COMP_WORDS[1]} == explain ]]; then
    [[ $word == = ]] && word=
    if [[ $word == -?* ]]; then
      mapfile -t COMPREPLY < <(compgen -W "--json= --threads --strict --help" -- "$word")
      [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
    else
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      compopt -o filenames 2>/dev/null
    fi
    return
  fi
  local first=2 confirm
  if [[ ${COMP_WORDS[1]} == help ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
    return
  fi
  if [[ ${COMP_WORDS[1]} == order ]]; then
    if ((COMP_CWORD == 2)); then
      mapfile -t COMPREPLY < <(compgen -W "learn check show --help" -- "$word")
      return
    fi
    if [[ ${COMP_WORDS[2]} == show ]]; then
      if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "--dot" -- "$word")
      else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        compopt -o filenames 2>/dev/null
      fi
      return
    fi
    # The first word that is no option is the file, and the program stands behind "--".
    first=3
    for ((i = 3; i < COMP_CWORD; i++)); do [[ ${COMP_WORDS[i]} == -- ]] && break; done
    if ((i >= COMP_CWORD)) && [[ $word != -* ]] && [[ $before != --* && $before != = ]]; then
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      compopt -o filenames 2>/dev/null
      return
    fi
    ((i < COMP_CWORD)) && first=$i
    ((i >= COMP_CWORD)) && first=$COMP_CWORD
  elif [[ ${COMP_WORDS[1]} != run ]]; then
    return
  fi

  # Behind the program's name everything is the program's own.
  for ((i = first; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --) break ;;
      --on-deadlock | --stall | --suppress | --json | --log | --record | --record-full) ((i++)) ;;
      =) ((i++)) ;;
      -*) ;;
      *) break ;;
    esac
  done
  if ((i < COMP_CWORD)); then
    [[ ${COMP_WORDS[i]} == -- ]] && ((i++))
    if declare -F _command_offset >/dev/null && ((i <= COMP_CWORD)); then
      _command_offset "$i"
    else
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
    return
  fi

  # "--json=x" is three words to bash: --json, = and x.
  [[ $word == = ]] && word=
  [[ $before == = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
  case $before in
    --on-deadlock)
      mapfile -t COMPREPLY < <(compgen -W "kill keep core" -- "$word")
      ;;
    --stall)
      mapfile -t COMPREPLY < <(compgen -W "500ms 5s 30s 1m" -- "$word")
      ;;
    --record-full)
      mapfile -t COMPREPLY < <(compgen -W "drop block" -- "$word")
      ;;
    --suppress | --json | --log | --record)
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      compopt -o filenames 2>/dev/null
      ;;
    *)
      if [[ $word == -* ]]; then
        # Only `run` can run the program again.
        [[ ${COMP_WORDS[1]} == run ]] && confirm=--confirm
        mapfile -t COMPREPLY < <(compgen -W "--on-deadlock= --stall= --no-children --refuted ${confirm-} --strict \
          --suppress= --json= --log= --record= --record-full= --quiet --summary --redact-argv --help --" -- "$word")
        [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
      else
        mapfile -t COMPREPLY < <(compgen -c -- "$word")
      fi
      ;;
  esac
}

complete -F _gordian gordian
