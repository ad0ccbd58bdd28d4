#!/bin/bash
# All tests, in two phases. First what only computes, which uses every processor by itself. Then two lanes side by side: what
# watches clocks and kernels has the processors first; what operators do and the mirror wait on conditions and take what that
# leaves, but not so meekly that a command of a moment would starve. The small benchmarks come behind the first lane, which is
# the shorter one. What computes stands alone because beside the lanes it starves, or starves them. Fails when any part does; what failed is printed last, for whoever sees only the end of a long log.
# Who calls this has compiled the program (npm test does): the lanes must not do it at the same time.
set -u
cd "$(dirname "$0")/.."
run='npx vitest run --config test/vitest.config.ts'

kept=$(mktemp -d)
trap 'rm -rf "$kept"' EXIT
export TEST_IS_BUILT=1
failed=()
set -o pipefail
$run --reporter=dot --project unit --project contract --project sim 2>&1 | tee "$kept/computing" || failed+=(computing)
nice -n 10 $run --reporter=dot --project operator --project mirror >"$kept/waiting" 2>&1 &
waiting=$!
$run --project thread --project system 2>&1 | tee "$kept/watching" || failed+=(watching)
$run --reporter=dot --project bench 2>&1 | tee "$kept/bench" || failed+=(bench)
wait $waiting || failed+=(waiting)
cat "$kept/waiting"
# Printed again: what failed in one part stands before another's report.
for part in "${failed[@]}"; do
  sed -n '/Failed \(Suites\|Tests\)/,$p' "$kept/$part"
  echo "failed: $part"
done
[ ${#failed[@]} -eq 0 ]
