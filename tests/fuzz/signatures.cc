#include "tests/fuzz/fuzz.h"
#include "updater/source/commit.h"

using namespace hostos;

FUZZ(input) {
  const Result<std::vector<std::string>> signatures = ReadSignatures(input);
  const std::string one(64, 's');
  const Result<std::string> more = AddSignatures(input, {&one, 1});
  if (!signatures || !more) return;
  PROMISE(ReadSignatures(*more).value().size() >= signatures->size());
}
