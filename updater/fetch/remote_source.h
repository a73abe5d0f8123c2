// The source of releases of a privileged process: another process, which has no privileges, does
// what touches the network and what comes from there (worker.h). Nothing that it says is believed:
// the metadata and the commit that it resolved are resolved here once more, from what this process
// trusts; the image and the UKI are bytes that are compared with what that commit signed; no
// descriptor is taken from it. What is left to it is what a server can do: to withhold.
#pragma once

#include <functional>
#include <optional>

#include "updater/fetch/channel.h"
#include "updater/source/commit.h"
#include "updater/source/ostree_source.h"
#include "updater/tuf/json.h"

namespace hostos {

class RemoteSource : public Source {
 public:
  // `connect` reaches a worker; it is called when the first is needed. `options` are for both, but
  // the worker has a directory of its own. A url that is a path is opened here, if it can be. An
  // answer that takes longer than `patience` is an error.
  RemoteSource(std::function<Result<UniqueFd>()> connect, OstreeSourceOptions options,
               Seconds patience)
      : connect_(std::move(connect)),
        options_(std::move(options)),
        patience_(patience),
        verifier_(options_) {}

  Result<Target> Resolve(const std::optional<std::string>& version, uint64_t now) override;
  Result<std::vector<tuf::TrustedRole>> Trusted() override { return verifier_.Trusted(); }
  Result<FetchPlan> Plan(const Target& target) override;
  Result<FetchStats> Fetch(const Target& target, Progress& progress) override;
  Result<Checkout> Open(const Target& target) override;
  Result<Space> StagingFree() override;
  Result<> Discard() override;
  Result<Target> Verify(const std::string& commit, const std::string& signatures) override {
    return verifier_.Verify(commit, signatures);
  }

 private:
  Result<> Connect();
  Result<> Request(const tuf::Json& request, int descriptor = -1);
  Result<> Send(std::string_view message, int descriptor = -1);
  // The end of what was requested, with the progress before it: good, or whatever it is.
  Result<tuf::Json> Answer(Seconds limit, Progress* progress = nullptr);
  Result<tuf::Json> Outcome(Seconds limit, Progress* progress = nullptr);
  Result<tuf::Json> Call(const tuf::Json& request, int descriptor = -1);
  Result<> Use(const Target& target);
  Result<> RequestFetch(const Commit& commit);
  Result<UniqueFd> ReceiveUki(int stream, const Release& release);

  std::function<Result<UniqueFd>()> connect_;
  OstreeSourceOptions options_;
  Seconds patience_;
  OstreeSource verifier_;
  std::optional<Channel> channel_;
  std::string not_given_;  // why the worker has to open the directory by itself; "": it need not
  Digest used_;            // the commit that the worker plans, fetches and opens
};

}  // namespace hostos
