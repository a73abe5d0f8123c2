// Builds the commit object and the detached metadata with signatures. updater/release/commit.h
// reads them back.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "updater/base/result.h"
#include "updater/release/commit.h"

namespace hostos {

// The bytes of the commit object for `commit`. release.commit is ignored, because it follows from
// the bytes. kUsage for an invalid name.
Result<std::string> BuildCommit(const Commit& commit);

// Serialized detached metadata with these signatures added. A signature that is there already is
// not repeated; other keys are kept.
Result<std::string> AddSignatures(std::string_view detached, std::span<const Signature> add);

}  // namespace hostos
