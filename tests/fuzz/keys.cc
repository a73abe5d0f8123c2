#include "tests/fuzz/fuzz.h"
#include "updater/source/sign.h"

using namespace hostos;

FUZZ(input) {
  const MemoryFile file(input);
  const Result<std::vector<PublicKey>> keys = PublicKey::Load(file.path());
  if (!keys) return;
  PROMISE(!keys->empty());
  for (const PublicKey& key : *keys)
    PROMISE(!key.Verifies(input, {key.algorithm, std::string(input)}));
}
