// The source of releases for a privileged process. A process without privileges does all that
// touches the network or what comes from it (worker.h). Nothing that it says is believed: the
// metadata and the commit that it resolved are resolved here again, from what this process trusts;
// the image and the UKI are only bytes, which are compared with what that commit signed; no
// descriptor is taken from it. All it can do is what a server can: withhold.
#pragma once

#include <functional>
#include <optional>
#include <set>

#include "updater/fetch/channel.h"
#include "updater/release/commit.h"
#include "updater/source/resolver.h"
#include "updater/tuf/json.h"

namespace hostos {

class RemoteSource : public Source {
 public:
  // `connect` reaches a worker; it is called when one is first needed. Both processes use
  // `options`, but the worker has a directory of its own. If the url is a path, it is opened here,
  // if possible. An answer that takes longer than `patience` is an error.
  RemoteSource(std::function<Result<UniqueFd>()> connect, SourceOptions options, Seconds patience)
      : connect_(std::move(connect)),
        options_(std::move(options)),
        patience_(patience),
        resolver_(options_) {}

  Result<Target> Resolve(const std::optional<std::string>& version, uint64_t now) override;
  Result<std::vector<tuf::TrustedRole>> Trusted() override { return resolver_.Trusted(); }
  Result<FetchPlan> Plan(const Target& target) override;
  Result<ReleaseChanges> Changes(const Target& target) override;
  Result<FetchStats> Fetch(const Target& target, Progress& progress) override;
  Traffic Moved() const override { return moved_; }
  Result<Checkout> Open(const Target& target) override;
  Result<Space> StagingFree() override;
  Result<> Discard() override;
  Result<Target> Verify(const std::string& commit, const std::string& signatures) override {
    return resolver_.Verify(commit, signatures);
  }

 private:
  Result<> Connect();
  Result<> Request(const tuf::Json& request, int descriptor = -1);
  Result<> Send(std::string_view message, int descriptor = -1);
  // Outcome() gives the final answer, good or bad, and reports the progress before it. Answer()
  // makes a bad one an error.
  Result<tuf::Json> Answer(Seconds limit, Progress* progress = nullptr);
  Result<tuf::Json> Outcome(Seconds limit, Progress* progress = nullptr);
  Result<tuf::Json> Call(const tuf::Json& request, int descriptor = -1);
  // Has the worker verify this commit, unless it knows it already.
  Result<> Give(const Target& target);
  Result<> RequestFetch(const Commit& commit);
  Result<UniqueFd> ReceiveUki(int stream, const Release& release);

  std::function<Result<UniqueFd>()> connect_;
  SourceOptions options_;
  Seconds patience_;
  Resolver resolver_;
  std::optional<Channel> channel_;
  std::string not_given_;   // why the worker has to open the directory itself; "": it need not
  std::set<Digest> given_;  // commits that the worker knows
  Traffic moved_;           // by what the worker says
};

}  // namespace hostos
