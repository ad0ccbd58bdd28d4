#!/bin/bash
# All tests, in three phases. First what only computes, which uses every processor by itself. Then what sets the clock of this
# machine, with nothing beside it. Then two lanes side by side: what watches clocks and kernels has the processors first; what
# operators do and the mirror wait on conditions and take what that leaves, but not so meekly that a command of a moment would
# starve. Those are cut into pieces: when the first lane, which is the shorter one, and the small benchmarks behind it are done, it
# takes pieces too, so that no processor is idle till the end. What computes stands alone because beside the lanes it starves, or
# starves them. Fails when any part does; what failed is printed last, for whoever sees only the end of a long log.
# Who calls this has compiled the program (npm test does): the lanes must not do it at the same time.
set -u
cd "$(dirname "$0")/.."
run='npx vitest run --config test/vitest.config.ts'
# More make the end even, and each costs a start of a few seconds.
pieces=12

kept=$(mktemp -d)
trap 'rm -rf "$kept"' EXIT
export TEST_IS_BUILT=1
failed=()
set -o pipefail

# Pieces that nobody has taken, one after the other.
take_pieces() {
  local piece name
  for ((piece = 1; piece <= pieces; piece++)); do
    name=waiting-$piece
    mkdir "$kept/taken-$piece" 2>/dev/null || continue
    nice -n 10 $run --reporter=dot --project operator --project mirror --shard "$piece/$pieces" >"$kept/$name" 2>&1 &&
      touch "$kept/$name.passed"
  done
}

$run --reporter=dot --project unit --project contract --project sim 2>&1 | tee "$kept/computing" || failed+=(computing)
$run --project clock 2>&1 | tee "$kept/clock" || failed+=(clock)
take_pieces &
waiting=$!
$run --project thread --project system 2>&1 | tee "$kept/watching" || failed+=(watching)
$run --reporter=dot --project bench 2>&1 | tee "$kept/bench" || failed+=(bench)
take_pieces
wait $waiting
for ((piece = 1; piece <= pieces; piece++)); do
  cat "$kept/waiting-$piece"
  [ -e "$kept/waiting-$piece.passed" ] || failed+=("waiting-$piece")
done
# Printed again: what failed in one part stands before another's report.
for part in "${failed[@]}"; do
  sed -n '/Failed \(Suites\|Tests\)/,$p' "$kept/$part"
  echo "failed: $part"
done
[ ${#failed[@]} -eq 0 ]
