#include "updater/tuf/delegation.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <set>

#include "tests/tuf/repository.h"
#include "updater/tuf/name.h"

namespace hostos::tuf {
namespace {

using Names = std::vector<std::string>;

using Edges = std::vector<std::tuple<std::string, std::string, Json, bool>>;

// A repository with these delegations: from, to, paths, terminating.
struct Graph {
  explicit Graph(Edges given) : edges(std::move(given)) {
    for (const auto& [from, to, paths, terminating] : edges) {
      repository.Delegate(from, to, paths, terminating);
    }
  }

  // The roles whose metadata is fetched in a search for `path`, in order.
  Names Asked(const std::string& path, Code expected = Code::kNotFound) {
    std::set<std::string> roles;
    for (const auto& [from, to, paths, terminating] : edges) roles.insert(to);
    for (const std::string& role : roles) repository.Publish({role.c_str()});
    repository.Publish({"targets", "snapshot", "timestamp"});
    Result<Client> client = machine.Refresh();
    REQUIRE(client);
    repository.metadata.fetched.clear();
    const Result<TargetFile> target = client->Find(path);
    CHECK((target ? Code::kNothingToDo : target.error().code) == expected);
    Names asked;
    for (const std::string& file : repository.metadata.fetched) {
      asked.push_back(file.substr(2, file.size() - 2 - std::string(".json").size()));
    }
    return asked;
  }

  const Edges edges;
  Repository repository;
  Machine machine{repository};
};

const Json kAll = {"*"};

TEST_CASE("delegated roles are asked depth first, in their order") {
  CHECK(Graph(Edges{{"targets", "A", kAll, false}}).Asked("x") == Names{"A"});
  CHECK(Graph(Edges{{"targets", "A", kAll, false}, {"targets", "B", kAll, false}}).Asked("x") ==
        Names{"A", "B"});
  CHECK(Graph(Edges{{"targets", "A", kAll, false},
                    {"targets", "B", kAll, false},
                    {"A", "C", kAll, false},
                    {"C", "D", kAll, false},
                    {"A", "E", kAll, false}})
            .Asked("x") == Names{"A", "C", "D", "E", "B"});
}

TEST_CASE("after a terminating role only those it delegates to are asked") {
  CHECK(Graph(Edges{{"targets", "A", kAll, false},
                    {"targets", "B", kAll, false},
                    {"A", "C", kAll, true},
                    {"A", "D", kAll, false},
                    {"C", "E", kAll, false}})
            .Asked("x") == Names{"A", "C", "E"});
  // One that the path is not delegated to ends nothing.
  CHECK(Graph(Edges{{"targets", "A", {"y"}, true}, {"targets", "B", kAll, false}}).Asked("x") ==
        Names{"B"});
}

TEST_CASE("a role is asked once, in a circle too") {
  CHECK(Graph(Edges{{"targets", "A", kAll, false},
                    {"targets", "B", kAll, false},
                    {"A", "C", kAll, false},
                    {"B", "C", kAll, false},
                    {"C", "A", kAll, false}})
            .Asked("x") == Names{"A", "C", "B"});
}

TEST_CASE("at most 32 delegated roles are asked for a target") {
  const int roles = GENERATE(32, 33);
  Edges edges;
  for (int i = 0; i < roles; ++i) {
    edges.emplace_back("targets", std::format("role{}", i), kAll, false);
  }
  CHECK(Graph(edges).Asked("x", roles == 32 ? Code::kNotFound : Code::kNotTrusted).size() == 32);
}

TEST_CASE("every role of the chain has to be responsible for the path") {
  const Edges edges = {{"targets", "A", {"*.doc", "*.md"}, false},
                       {"targets", "B", {"releases/*/*"}, false},
                       {"B", "C", {"releases/x/*"}, false},
                       {"B", "D", {"releases/y/*.zip"}, false}};
  auto asked = [&](const std::string& role, const std::string& path, Code expected) {
    Graph graph(edges);
    graph.repository.AddTarget(role, path, "content");
    return graph.Asked(path, expected);
  };
  CHECK(asked("A", "README.md", Code::kNothingToDo) == Names{"A"});
  CHECK(asked("C", "releases/x/1", Code::kNothingToDo) == Names{"B", "C"});
  CHECK(asked("D", "releases/y/1.zip", Code::kNothingToDo) == Names{"B", "D"});
  CHECK(asked("D", "releases/z/1.zip", Code::kNotFound) == Names{"B"});
  CHECK(asked("A", "docs/README.md", Code::kNotFound).empty());
  CHECK(asked("targets", "any/thing", Code::kNothingToDo).empty());
}

TEST_CASE("the first role that signed a target decides") {
  Repository repository;
  repository.Delegate("targets", "A");
  repository.Delegate("targets", "B");
  repository.AddTarget("B", "x", "of B");
  repository.AddTarget("A", "x", "of A");
  repository.Publish({"A", "B", "targets", "snapshot", "timestamp"});
  Machine machine(repository);
  CHECK(machine.Get("x") == "of A");
}

TEST_CASE("a delegated role that cannot be trusted ends the search") {
  Repository repository;
  repository.Delegate("targets", "A");
  repository.Delegate("targets", "B");
  repository.AddTarget("B", "x", "content");
  std::string reason;
  SECTION("signed by another key") {
    repository.signers("A") = {TestKey()};
    reason = "A: expected good signatures by 1 of 1 keys, found 0";
  }
  SECTION("expired") {
    repository["A"]["expires"] = kYesterday;
    reason = "A: version 1 expired at 2025-12-31T00:00:00Z, it is 2026-01-01T00:00:00Z now";
  }
  repository.Publish({"A", "B", "targets", "snapshot", "timestamp"});
  SECTION("not in the snapshot") {
    repository["snapshot"]["meta"].erase("A.json");
    repository.Publish({"snapshot", "timestamp"});
    reason = "snapshot: expected the version of A.json, found none";
  }
  SECTION("another version than the snapshot says") {
    repository["A"]["version"] = 8;
    repository.Publish({"A"});
    repository.metadata.files["1.A.json"] = repository.metadata.files["9.A.json"];
    reason = "A: version: expected 1, found 9";
  }
  Machine machine(repository);
  const Result<std::string> got = machine.Get("x");
  REQUIRE_FALSE(got);
  CHECK(got.error().code == Code::kNotTrusted);
  CHECK(got.error().message == reason);
  CHECK(machine.Version("A") == 0);
  CHECK(machine.Downloaded().empty());
}

TEST_CASE("delegated metadata is kept, and fetched again only when it is new or expired") {
  Repository repository;
  repository.Delegate("targets", "A");
  repository.AddTarget("A", "x", "content");
  repository["A"]["expires"] = "2026-01-08T00:00:00Z";
  repository.Publish({"A", "targets", "snapshot", "timestamp"});
  Machine machine(repository);
  REQUIRE(machine.Get("x"));
  CHECK(repository.metadata.fetched.back() == "1.A.json");
  REQUIRE(machine.Get("x"));
  CHECK(repository.metadata.fetched.back() == "timestamp.json");
  const uint64_t later = kNow + 18 * 86400;
  CHECK(machine.Get("x", later).error().code == Code::kNotTrusted);
  repository["A"]["expires"] = kFarAway;
  repository.Publish({"A", "snapshot", "timestamp"});
  CHECK(machine.Get("x", later) == "content");
  CHECK(machine.Version("A") == 2);
}

TEST_CASE("a role that two delegate to is verified by the keys of the one that asks") {
  Repository repository;
  repository.Delegate("targets", "A", {"a"});
  repository.Delegate("targets", "B", {"b"});
  repository.Delegate("A", "C", {"*"});
  const auto good = repository.signers("C");
  repository.Delegate("B", "C", {"*"});
  repository.signers("C") = good;  // not the key that B names
  repository.AddTarget("C", "a", "of a");
  repository.AddTarget("C", "b", "of b");
  repository.Publish({"A", "B", "C", "targets", "snapshot", "timestamp"});
  Machine machine(repository);
  Result<Client> client = machine.Refresh();
  REQUIRE(client);
  CHECK(client->Find("a"));
  const Result<TargetFile> other = client->Find("b");
  REQUIRE_FALSE(other);
  CHECK(other.error().message == "C: expected good signatures by 1 of 1 keys, found 0");
}

TEST_CASE("names of roles that are no file names stay inside the directory and the URL") {
  const std::string name = GENERATE("?", "#", "/role", "../role", "..", "a b%2F", "\u00e4\n");
  Repository repository;
  repository.Delegate("targets", name);
  repository.Publish({name.c_str(), "targets", "snapshot", "timestamp"});
  Machine machine(repository);
  CHECK(machine.Get("x").error().code == Code::kNotFound);
  CHECK(repository.metadata.fetched.back() == "1." + EncodeName(name) + ".json");
  CHECK_FALSE(EncodeName(name).contains('/'));
  CHECK(machine.Version(name) == 1);
}

TEST_CASE("names are percent-encoded but for letters, digits and -._~") {
  CHECK(EncodeName("aZ09-._~") == "aZ09-._~");
  CHECK(EncodeName("a/b?c#d e%\xc3\xa4\n") == "a%2Fb%3Fc%23d%20e%25%C3%A4%0A");
  CHECK(EncodePath("a/b c") == "a/b%20c");
}

TEST_CASE("patterns match as a shell's do, one directory at a time") {
  using namespace std::string_literals;
  struct Case {
    std::string pattern;
    Names matches, others;
  };
  const std::vector<Case> cases = {
      {"targets/*.tgz",
       {"targets/foo.tgz", "targets/.tgz"},
       {"targets/foo.txt", "targets/a/b.tgz"}},
      {"foo-?.tgz", {"foo-2.tgz"}, {"foo-.tgz", "foo-22.tgz", "foo-/.tgz"}},
      {"*.tgz", {"foo.tgz"}, {"targets/foo.tgz", "foo.tgz.sig"}},
      {"foo.tgz", {"foo.tgz"}, {"afoo.tgz", "foo.tgzz", "Foo.tgz", ""}},
      {"*", {"", "foo"}, {"a/b", "/", "a/"}},
      {"**", {"foo"}, {"a/b"}},
      {"*/*", {"a/b", "/"}, {"ab", "a/b/c"}},
      {"a*b*c", {"abc", "aXbbXc", "abcbc"}, {"abcb", "acb", "ab/c"}},
      {"[ab]", {"a", "b"}, {"c", "[ab]", "/", ""}},
      {"v[0-9]*", {"v1", "v1.2"}, {"v", "va", "v1/2"}},
      {"[!0-9]", {"a", "-"}, {"1", "/", ""}},
      {"a[!b]c", {"axc"}, {"abc", "a/c"}},
      {"[a", {"[a"}, {"a"}},
      {"a\0b"s, {"a\0b"s}, {"a", "ab"}},
      {"*\0"s, {}, {"", "a", "a\0"s}},
      {"a\\*", {"a\\", "a\\b"}, {"a*"}},
      {"", {""}, {"a"}},
  };
  for (const Case& one : cases) {
    for (const std::string& path : one.matches) {
      CAPTURE(one.pattern, path);
      CHECK(MatchesPattern(path, one.pattern));
    }
    for (const std::string& path : one.others) {
      CAPTURE(one.pattern, path);
      CHECK_FALSE(MatchesPattern(path, one.pattern));
    }
  }
  std::string stars;
  for (int i = 0; i < 1000; ++i) stars += "*a";
  CHECK_FALSE(MatchesPattern(std::string(5000, 'a') + "b", stars));
}

TEST_CASE("a prefix of the path's hash delegates it") {
  Repository repository;
  repository.Delegate("targets", "A");
  Json& role = repository["targets"]["delegations"]["roles"][0];
  role.erase("paths");
  role["path_hash_prefixes"] = {"00", "2d71"};  // SHA-256 of "x" begins with 2d711642
  repository.AddTarget("A", "x", "content");
  repository.AddTarget("A", "y", "content");
  repository.Publish({"A", "targets", "snapshot", "timestamp"});
  Machine machine(repository);
  CHECK(machine.Get("x") == "content");
  CHECK(machine.Get("y").error().code == Code::kNotFound);
}

TEST_CASE("a path belongs to the bin that the first bits of its hash say") {
  // SHA-256 of "x" begins with 2d711642: 0010 1101 0111 0001 ...
  const auto& [bits, bin] = GENERATE(table<int, std::string>({{1, "bin-0"},
                                                              {3, "bin-1"},
                                                              {4, "bin-2"},
                                                              {5, "bin-05"},
                                                              {8, "bin-2d"},
                                                              {32, "bin-2d711642"}}));
  Repository repository;
  const TestKey key;
  repository.Delegate("targets", bin);
  repository["targets"]["delegations"] = {
      {"keys", {{key.id(), key.Public()}}},
      {"succinct_roles",
       {{"keyids", {key.id()}}, {"threshold", 1}, {"bit_length", bits}, {"name_prefix", "bin"}}}};
  repository.signers(bin) = {key};
  repository.AddTarget(bin, "x", "content");
  repository.Publish({bin.c_str(), "targets", "snapshot", "timestamp"});
  Machine machine(repository);
  CHECK(machine.Get("x") == "content");
}

}  // namespace
}  // namespace hostos::tuf
