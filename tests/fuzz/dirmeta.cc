#include "tests/fuzz/fuzz.h"
#include "updater/source/objects.h"

using namespace hostos;

FUZZ(input) {
  const Result<Metadata> metadata = ParseDirmeta(input);
  if (metadata) PROMISE(SerializeDirmeta(*metadata) == input);
}
