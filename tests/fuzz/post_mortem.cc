#include "updater/engine/post_mortem.h"

#include "tests/fuzz/fuzz.h"

using namespace hostos;

FUZZ(post_mortem, input) {
  RoundTrips(input, PostMortemFromJson);
}
