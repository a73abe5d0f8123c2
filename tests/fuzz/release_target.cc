#include "updater/release/release_target.h"

#include "tests/fuzz/fuzz.h"
#include "updater/release/commit.h"

using namespace hostos;

FUZZ(release_target, input) {
  const Result<ReleaseTarget> target = ParseReleaseTarget(input);
  if (!target) return;
  PROMISE(target->index >= 1 && target->image_size >= 1 && target->uki_size >= 1);
  for (const std::string& name :
       {target->product, target->version, target->channel, target->architecture})
    PROMISE(IsValidName(name));
  // What was understood is everything: writing it and reading it again gives the same text.
  const std::string text = WriteReleaseTarget(*target);
  const Result<ReleaseTarget> again = ParseReleaseTarget(text);
  PROMISE(again && WriteReleaseTarget(*again) == text);
}
