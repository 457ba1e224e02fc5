# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# For ./check: runs suites, keeps their output, adds up what they counted.
#
# A suite is a command whose last line of the form
#
#	N passed, N failed, N skipped
#
# says what it did. One that exits non-zero without saying so, or that says it and
# ran nothing, counts as one failure. Its whole output is in $out/NAME.log.

passed=0
failed=0
skipped=0
failed_suites=

# suite NAME TITLE COMMAND...
suite()
{
	local name=$1 title=$2 log="$out/$1.log" status=0 start=$SECONDS line p f s
	shift 2

	[ -z "$only" ] || [[ ",$only," = *",$name,"* ]] || return 0
	printf '\n== %s: %s\n' "$name" "$title"
	"$@" 2>&1 | tee "$log" | suite_show "$name"
	status=${PIPESTATUS[0]}

	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1)
	if [ -z "$line" ]; then
		p=0 f=1 s=0
		tail -n 30 "$log"
		echo "$name: ended with status $status and no count; all of it: $log"
	else
		read -r p f s <<<"${line//[!0-9 ]/}"
		if [ "$status" != 0 ] && [ "$f" = 0 ]; then
			f=1
			echo "$name: ended with status $status"
		elif [ $((p + f + s)) = 0 ]; then
			f=1
			echo "$name: ran no test"
		fi
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	if [ "$f" != 0 ]; then
		failed_suites="$failed_suites $name"
		suite_failures "$log"
	fi
	printf '== %s: %d passed, %d failed, %d skipped in %d s (%s)\n' "$name" "$p" "$f" "$s" \
		$((SECONDS - start)) "${log#"$PWD"/}"
}

# What of a suite's output a person sees while it runs.
suite_show()
{
	case $1 in
	lab) cat ;;
	*) grep -E --line-buffered '^(not ok|  \||\[[0-9 ]+/|==|# skip|installing)' ;;
	esac
}

suite_failures()
{
	grep -nE '^(not ok|FAIL|Error|error:|.*\*\*\*(Failed|Timeout|Exception))' "$1" | head -n 40
}

suite_total()
{
	[ -z "$failed_suites" ] || printf '\nfailed:%s\n' "$failed_suites"
	printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
	[ "$failed" = 0 ] && [ "$passed" != 0 ]
}
