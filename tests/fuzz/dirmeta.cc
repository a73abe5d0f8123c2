#include "tests/fuzz/fuzz.h"
#include "updater/release/objects.h"

using namespace hostos;

FUZZ(dirmeta, input) {
  const Result<Metadata> metadata = ParseDirmeta(input);
  if (metadata) PROMISE(SerializeDirmeta(*metadata) == input);
}
