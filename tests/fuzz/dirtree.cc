#include "tests/fuzz/fuzz.h"
#include "updater/release/objects.h"

using namespace hostos;

FUZZ(dirtree, input) {
  const Result<std::vector<DirtreeEntry>> entries = ParseDirtree(input);
  if (!entries) return;
  for (const DirtreeEntry& entry : *entries) PROMISE(CheckName(entry.name));
  PROMISE(SerializeDirtree(*entries) == input);
}
