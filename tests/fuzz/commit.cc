#include "updater/release/commit.h"

#include "tests/fuzz/fuzz.h"

using namespace hostos;

FUZZ(commit, input) {
  const Result<Commit> commit = ParseCommit(input);
  if (!commit) return;
  PROMISE(commit->release.commit == Sha256::Of(AsBytes(input)));
  PROMISE(IsValidName(commit->release.version));
}
