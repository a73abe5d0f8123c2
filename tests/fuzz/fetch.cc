// What a fetching process that was taken over sends to hostctl.
#include <sys/socket.h>

#include "tests/fuzz/fuzz.h"
#include "tests/tuf/repository.h"
#include "updater/base/atomic_file.h"
#include "updater/fetch/remote_source.h"

using namespace hostos;

constexpr size_t kSocketHolds = 32 << 10;

// What this machine trusts.
struct Trust {
  Trust() {
    PROMISE(WriteFileAtomically(root, tuf::Repository().metadata.files.at("1.root.json")));
  }
  const TempDir directory;
  const std::string root = directory / "root.json", metadata = directory / "tuf";
};

FUZZ(fetch, input) {
  static const Trust trust;
  UniqueFd peer;
  RemoteSource source(
      [&]() -> Result<UniqueFd> {
        auto [ours, theirs] = TRY(StreamPair());
        peer = std::move(theirs);
        const Channel channel((UniqueFd(::fcntl(peer.get(), F_DUPFD_CLOEXEC, 0))));
        PROMISE(channel.Send("{}"));
        PROMISE(WriteFull(peer.get(), AsBytes(input.substr(0, kSocketHolds))));
        PROMISE(::shutdown(peer.get(), SHUT_WR) == 0);
        return std::move(ours);
      },
      {.url = "http://localhost",
       .root = trust.root,
       .metadata = trust.metadata,
       .key_directories = {}},
      Seconds(1));
  PROMISE(!source.Resolve(std::nullopt, 0));
  (void)source.StagingFree();
  (void)source.Plan(Target());
}
