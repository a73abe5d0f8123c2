// Brings a release's objects into the staging repository in a delta pack. A help and no more: what
// it does not bring is pulled object by object.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "updater/base/progress.h"
#include "updater/source/options.h"
#include "updater/source/repo.h"
#include "updater/source/source.h"

namespace hostos {

// The smallest of the release's packs that begin with a release this machine holds.
std::optional<DeltaPack> ChoosePack(const Target& target, const SourceOptions& options);

// A plan of plain objects, changed to one with this pack where that moves less; and always from a
// bundle, which may have the pack alone.
FetchPlan WithPack(FetchPlan plan, const DeltaPack& pack, const Target& target,
                   const SourceOptions& options);

// Fetches the pack and stages the objects that come out of it. What was received of it before an
// interruption is not fetched again. An error only where a pull would meet it too: no
// space. Else `problem` says why not every object came.
Result<FetchStats> FetchPack(Repo& repo, const DeltaPack& pack, const Target& target,
                             const SourceOptions& options, Progress& progress);

// Removes what was received of packs: the release is complete.
void ForgetPacks(const SourceOptions& options);

}  // namespace hostos
