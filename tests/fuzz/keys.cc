#include "tests/fuzz/fuzz.h"
#include "updater/release/signature.h"

using namespace hostos;

FUZZ(keys, input) {
  const MemoryFile file(input);
  const Result<std::vector<PublicKey>> keys = PublicKey::Load(file.path());
  if (!keys) return;
  PROMISE(!keys->empty());
  for (const PublicKey& key : *keys)
    PROMISE(!key.Verifies(input, {key.algorithm, std::string(input)}));
}
