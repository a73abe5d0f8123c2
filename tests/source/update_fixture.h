// A node that runs release 1.0 and is about to fetch the next one from a web server.
#pragma once

#include <sys/mman.h>

#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <string>

#include "tests/source/http_server.h"
#include "tests/source/local_source.h"
#include "tests/source/release_fixture.h"
#include "updater/release/commit.h"
#include "updater/source/archive.h"
#include "updater/source/staged_objects.h"

namespace hostos {

inline std::string ArchivePath(const ObjectName& name) {
  return "/" + ObjectPath(ObjectSize{.checksum = name.first, .type = name.second});
}

// The image of an opened release is the signed one.
inline Result<> CheckImage(Checkout& checkout, const Release& release) {
  const UniqueFd image(::memfd_create("image", MFD_CLOEXEC)),
      verity(::memfd_create("verity", MFD_CLOEXEC));
  const Received received =
      TRY(ReceiveImage(checkout.image.get(), release.image_size, image.get(), verity.get(), {}));
  CHECK(received.root_hash == release.root_hash);
  return checkout.sent.get();
}

struct Update {
  Publisher publisher;
  std::string tree = publisher.directory / "tree";
  std::string parent = publisher.directory / "parent";
  std::string staging = publisher.directory / "staging";
  std::string trusted = publisher.directory / "trusted";
  std::unique_ptr<HttpServer> server;

  // The objects of what the node runs are in the parent.
  Update() {
    MakeOddTree(tree);
    AddFiles(tree, "old", 50, 1);
    const Digest old = publisher.Publish(tree, "1.0");
    InitBare(parent);
    Hold(old);
  }

  // Puts the objects of a commit into the parent.
  void Hold(const Digest& commit) const {
    Run("ostree pull-local --disable-fsync --repo=" + parent + " " + publisher.path + " " +
        commit.Hex());
  }

  // Whoever fetches from now on has fetched nothing before.
  void Forget() const {
    for (const std::string& state : {staging, trusted}) std::filesystem::remove_all(state);
  }

  SourceOptions Options(const std::string& url) const {
    return {.url = url,
            .channel = "stable",
            .architecture = "x86-64",
            .root = publisher.root,
            .metadata = trusted,
            .staging = staging,
            .parent = parent,
            .key_directories = {publisher.keys},
            .seal_formats = {1},
            .http = {.stall_timeout = Seconds(1), .attempts = 2, .backoff = Milliseconds(1)}};
  }

  // Of a node that takes its releases from the directory.
  LocalSource FromDirectory() const { return LocalSource(Options(publisher.path)); }

  LocalSource Source(const std::string& extra = "") {
    server = std::make_unique<HttpServer>(publisher.path, extra);
    return LocalSource(Options(server->url()));
  }
};

}  // namespace hostos
