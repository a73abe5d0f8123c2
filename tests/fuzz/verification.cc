#include "updater/engine/verification.h"

#include "tests/fuzz/fuzz.h"

using namespace hostos;

FUZZ(verification, input) {
  RoundTrips(input, VerificationFromJson);
}
