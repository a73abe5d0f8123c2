// Progress that nobody watches.
#pragma once

#include "updater/base/progress.h"

namespace hostos {

class NoProgress : public Progress {
 public:
  void Begin(std::string_view, std::string_view) override {}
  void Bytes(uint64_t, uint64_t) override {}
};

}  // namespace hostos
