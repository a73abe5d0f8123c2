#include "updater/engine/post_mortem.h"

#include "tests/fuzz/fuzz.h"

using namespace hostos;

FUZZ(input) {
  const Result<PostMortem> post_mortem = PostMortemFromJson(input);
  if (!post_mortem) return;
  const std::string text = ToJson(*post_mortem);
  const Result<PostMortem> again = PostMortemFromJson(text);
  PROMISE(again && ToJson(*again) == text);
}
