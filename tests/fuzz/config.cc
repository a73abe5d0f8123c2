#include "updater/engine/config.h"

#include "tests/fuzz/fuzz.h"

using namespace hostos;

FUZZ(config, input) {
  const MemoryFile file(input);
  const Result<Config> config = LoadConfig({file.path()});
  std::vector<std::string> unused;
  (void)LoadWhatCanBe({file.path()}, unused);
  PROMISE(config.has_value() == unused.empty());
  if (!config) {
    PROMISE(config.error().message.contains(file.path()));
    return;
  }
  PROMISE(config->tries >= 1 && config->tries <= 10);
  PROMISE(config->health.window <= config->health.deadline);
}
