// What a delta pack refers to, in a repository and its parent: also what is being staged there.
#pragma once

#include "updater/base/unique_fd.h"
#include "updater/source/pack_reader.h"
#include "updater/source/repo.h"

namespace hostos {

class RepoBases : public PackBases {
 public:
  explicit RepoBases(const Repo& repo) : repo_(repo) {}
  Result<size_t> Read(ObjectType type, const Digest& base, uint64_t offset,
                      std::span<std::byte> into) override;

 private:
  const Repo& repo_;
  Digest open_;  // the base whose content `file_` is
  UniqueFd file_;
};

}  // namespace hostos
