#include "images/publish/build_commit.h"
#include "tests/fuzz/fuzz.h"
#include "updater/release/commit.h"

using namespace hostos;

FUZZ(signatures, input) {
  const Result<std::vector<Signature>> signatures = ReadSignatures(input);
  const Signature one{Algorithm::kMlDsa65, std::string(3309, 's')};
  const Result<std::string> more = AddSignatures(input, {&one, 1});
  if (!signatures || !more) return;
  PROMISE(ReadSignatures(*more).value().size() >= signatures->size());
}
