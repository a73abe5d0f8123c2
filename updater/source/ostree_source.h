// Releases from an OSTree archive repository, over HTTP, in a directory or in a bundle: the Source
// of a real node. A release is found in TUF metadata beside the repository, its commit object is
// fetched and its signatures are verified: two layers that have to say the same. Only then is that
// one checksum pulled into the staging repository.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "updater/source/http.h"
#include "updater/source/release_target.h"
#include "updater/source/sign.h"
#include "updater/source/source.h"
#include "updater/tuf/client.h"

namespace hostos {

class Repo;

struct OstreeSourceOptions {
  std::string url;  // of the archive repository, http:// or https://; or the path of its
                    // directory, or of a bundle
  std::string product = "hostos";
  std::string channel;       // "stable"
  std::string architecture;  // this machine's, as in Release::architecture
  std::string root = "/usr/lib/hostos/tuf/root.json";  // the TUF root that the release brings
  std::string metadata = "/var/lib/hostos/tuf";        // the TUF metadata that is trusted
  std::string staging;                                 // the repository that is pulled into
  std::string parent = "/ostree/repo";                 // empty: none
  // Bare repositories on this machine that may be damaged: what is whole of them is not fetched.
  std::vector<std::string> damaged;
  std::string token_file;  // what http.token is read from, by a RemoteSource; empty: nothing
  std::vector<std::string> key_directories = {"/usr/lib/hostos/keys.d", "/etc/hostctl/keys.d"};
  SignatureRule signatures;
  std::vector<uint32_t> seal_formats;  // what this node can seal
  HttpOptions http;
};

class OstreeSource : public Source {
 public:
  explicit OstreeSource(OstreeSourceOptions options);

  // Stages objects that this machine has, but this process may not read there: all that `next`
  // gives, at once.
  struct Given {
    Digest checksum;
    std::string content;
  };
  Result<> Take(const std::function<Result<std::optional<Given>>()>& next);

  // Makes the directory of trusted metadata, and has it trust the release's root.
  Result<> PrepareMetadata() const;
  // From these files of a repository.
  Result<Target> Resolve(tuf::Fetcher& files, const std::optional<std::string>& version,
                         uint64_t now);
  Result<Target> Resolve(const std::optional<std::string>& version, uint64_t now) override;
  Result<std::vector<tuf::TrustedRole>> Trusted() override;
  Result<FetchPlan> Plan(const Target& target) override;
  Result<FetchStats> Fetch(const Target& target, Progress& progress) override;
  Result<Checkout> Open(const Target& target) override;
  Result<Space> StagingFree() override;
  Result<> Discard() override;
  Result<Target> Verify(const std::string& commit, const std::string& signatures) override;

 private:
  Result<ReleaseTarget> Find(tuf::Fetcher& files, const std::optional<std::string>& version,
                             uint64_t now);
  Result<Repo> OpenStaging() const;

  OstreeSourceOptions options_;
};

}  // namespace hostos
