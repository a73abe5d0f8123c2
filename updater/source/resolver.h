// Decides which release to install and whether to trust it. TUF metadata beside a repository names
// it; its commit object is fetched and the signatures are verified. These are two layers, which
// have to say the same. No object of the release's tree is touched.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "updater/release/release_target.h"
#include "updater/source/options.h"
#include "updater/source/source.h"
#include "updater/tuf/client.h"

namespace hostos {

class Resolver {
 public:
  explicit Resolver(SourceOptions options);

  // Creates the directory of trusted metadata and has it trust the release's TUF root.
  Result<> PrepareMetadata() const;
  // As Source::Resolve(), from these files of a repository.
  Result<Target> Resolve(tuf::Fetcher& files, const std::optional<std::string>& version,
                         uint64_t now) const;
  // As in Source.
  Result<std::vector<tuf::TrustedRole>> Trusted() const;
  Result<Target> Verify(const std::string& commit, const std::string& signatures) const;

 private:
  Result<ReleaseTarget> Find(tuf::Fetcher& files, const std::optional<std::string>& version,
                             uint64_t now) const;

  SourceOptions options_;
};

}  // namespace hostos
