// A publisher behind a web server, and a node that resolves its releases.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "images/publish/secret_key.h"
#include "tests/source/http_server.h"
#include "tests/source/local_source.h"
#include "tests/source/release_fixture.h"

namespace hostos {

// A publisher behind a web server, and the source of a node that trusts it.
struct Node {
  Publisher publisher;
  std::string tree = publisher.directory / "tree";
  std::string staging = publisher.directory / "staging";
  std::unique_ptr<HttpServer> server;

  Node() { std::filesystem::create_directories(tree + "/boot"); }

  void Serve(const std::string& extra = "") {
    server.reset();
    server = std::make_unique<HttpServer>(publisher.path, extra);
  }

  LocalSource Source(auto change) {
    if (!server) Serve();
    SourceOptions options{.url = server->url() + "/",
                          .channel = "stable",
                          .architecture = "x86-64",
                          .root = publisher.root,
                          .metadata = publisher.directory / "trusted",
                          .staging = staging,
                          .parent = "",
                          .key_directories = {publisher.keys},
                          .seal_formats = {1},
                          .http = {}};
    options.http.attempts = 2;
    options.http.backoff = Milliseconds(1);
    change(options);
    return LocalSource(options);
  }
  LocalSource Source() {
    return Source([](SourceOptions&) {});
  }

  // What Resolve refuses leaves no trace: not a single object was asked for, nothing was stored.
  Error Refusal(LocalSource source, const std::optional<std::string>& version = std::nullopt) {
    auto target = source.Resolve(version, kNow);
    REQUIRE_FALSE(target);
    CHECK_FALSE(std::filesystem::exists(staging));
    for (const HttpRequest& request : server->Requests()) {
      CHECK((request.path.starts_with("/metadata/") || request.path.starts_with("/targets/") ||
             request.path.contains(".commit")));
    }
    return target.error();
  }

  // Serves these bytes as the commit of 1.0, signed by the publisher or by `signers`.
  void ServeCommit(const std::string& commit, std::span<const SecretKey> signers) {
    Digest checksum = PutObject(publisher.path, commit, "commit");
    WriteText(publisher.ObjectPath(checksum, "commitmeta"), Signed(signers, commit));
    Release release = publisher.Describe("1.0");
    release.commit = checksum;
    publisher.Announce(TargetOf(release));
  }
  void ServeCommit(const std::string& commit) { ServeCommit(commit, publisher.key); }
};

}  // namespace hostos
