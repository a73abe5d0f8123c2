#include "updater/engine/verification.h"

#include "tests/fuzz/fuzz.h"

using namespace hostos;

FUZZ(input) {
  const Result<Verification> verification = VerificationFromJson(input);
  if (!verification) return;
  const std::string text = ToJson(*verification);
  const Result<Verification> again = VerificationFromJson(text);
  PROMISE(again && ToJson(*again) == text);
}
