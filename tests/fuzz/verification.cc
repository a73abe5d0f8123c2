#include "updater/engine/verification.h"

#include "tests/fuzz/fuzz.h"

using namespace hostos;

FUZZ(input) {
  RoundTrips(input, VerificationFromJson);
}
