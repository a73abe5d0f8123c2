#include "updater/engine/config.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/temp_dir.h"
#include "updater/base/atomic_file.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

struct Files {
  TempDir dir;
  std::string shipped = dir / "shipped.toml";
  std::string local = dir / "local.toml";

  Result<Config> Load(const std::string& text) {
    REQUIRE(WriteFileAtomically(local, text));
    return LoadConfig({shipped, local});
  }
  // The error without its directory: "local.toml:3: ...".
  std::string Problem(const std::string& text) {
    Result<Config> config = Load(text);
    REQUIRE_FALSE(config);
    CHECK(config.error().code == Code::kUsage);
    CHECK_THAT(config.error().message, StartsWith(dir.path() + "/"));
    return config.error().message.substr(dir.path().size() + 1);
  }
};

TEST_CASE("the defaults hold where no file says otherwise") {
  Files files;
  Result<Config> config = LoadConfig({files.shipped, files.local});
  REQUIRE(config);
  CHECK(config->url == "");
  CHECK(config->channel == "stable");
  CHECK(config->tries == 3);
  CHECK(config->health.window == Seconds(60));
}

TEST_CASE("the file as shipped has every default, so that reading it changes nothing") {
  Result<Config> config = LoadConfig({HOSTOS_SOURCE_DIR "/updater/hostctl/hostctl.toml"});
  REQUIRE(config);
  const Config defaults;
  CHECK(config->url == defaults.url);
  CHECK(config->allow_http == defaults.allow_http);
  CHECK(config->proxy == defaults.proxy);
  CHECK(config->token_file == defaults.token_file);
  CHECK(config->rate_limit == defaults.rate_limit);
  CHECK(config->refuse_metered == defaults.refuse_metered);
  CHECK(config->product == defaults.product);
  CHECK(config->channel == defaults.channel);
  CHECK(config->keys == defaults.keys);
  CHECK(config->signatures.required == defaults.signatures.required);
  CHECK(config->signatures.policy == SignaturePolicy::kHybrid);
  CHECK(config->tries == defaults.tries);
  const HealthPolicy &health = config->health, &policy = defaults.health;
  CHECK(health.containerd_socket == policy.containerd_socket);
  CHECK(health.containerd_unit == policy.containerd_unit);
  CHECK(health.plugins == policy.plugins);
  CHECK(health.containerd_settings == policy.containerd_settings);
  CHECK(health.canary == policy.canary);
  CHECK(health.runtime == policy.runtime);
  CHECK(health.checks == policy.checks);
  CHECK(health.allowed_failed_units == policy.allowed_failed_units);
  CHECK(health.window == policy.window);
  CHECK(health.deadline == policy.deadline);
  CHECK(health.interval == policy.interval);
  CHECK(health.check_timeout == policy.check_timeout);
  CHECK(config->probation.time == defaults.probation.time);
  CHECK(config->probation.interval == defaults.probation.interval);
  CHECK(config->probation.fall_back == defaults.probation.fall_back);
}

TEST_CASE("every key is read") {
  Files files;
  Result<Config> config = files.Load(R"([source]
url = "https://updates.example/repo"
allow_http = true
proxy = "http://proxy.example:3128"
token_file = "/etc/hostctl/token"
rate_limit = 250000
metered = "refuse"
product = "other"
channel = "beta"
keys = ["/etc/keys"]
required_signatures = 2
signatures = "pq"
[update]
tries = 5
[health]
window = 10
deadline = 90
interval = 2
check_timeout = 7
containerd_socket = "/run/c.sock"
containerd_unit = "k3s-agent@1.service"
plugins = ["io.containerd.grpc.v1.tasks"]
containerd_settings = false
canary = "/opt/canary"
runtime = "io.containerd.runsc.v1"
checks = "/etc/checks"
allowed_failed_units = ["apt-*.service"]
[probation]
time = 0
interval = 9
fall_back = true
)");
  REQUIRE(config);
  CHECK(config->url == "https://updates.example/repo");
  CHECK(config->allow_http);
  CHECK(config->proxy == "http://proxy.example:3128");
  CHECK(config->token_file == "/etc/hostctl/token");
  CHECK(config->rate_limit == 250'000);
  CHECK(config->refuse_metered);
  CHECK(config->product == "other");
  CHECK(config->channel == "beta");
  CHECK(config->keys == std::vector<std::string>{"/etc/keys"});
  CHECK(config->signatures.required == 2);
  CHECK(config->signatures.policy == SignaturePolicy::kPq);
  CHECK(config->tries == 5);
  CHECK(config->health.window == Seconds(10));
  CHECK(config->health.deadline == Seconds(90));
  CHECK(config->health.interval == Seconds(2));
  CHECK(config->health.check_timeout == Seconds(7));
  CHECK(config->health.containerd_socket == "/run/c.sock");
  CHECK(config->health.containerd_unit == "k3s-agent@1.service");
  CHECK(config->health.plugins == std::vector<std::string>{"io.containerd.grpc.v1.tasks"});
  CHECK_FALSE(config->health.containerd_settings);
  CHECK(config->health.canary == "/opt/canary");
  CHECK(config->health.runtime == "io.containerd.runsc.v1");
  CHECK(config->health.checks == "/etc/checks");
  CHECK(config->health.allowed_failed_units == std::vector<std::string>{"apt-*.service"});
  CHECK(config->probation.time == Seconds(0));
  CHECK(config->probation.interval == Seconds(9));
  CHECK(config->probation.fall_back);
}

TEST_CASE("a later file is read over an earlier one, key by key") {
  Files files;
  REQUIRE(WriteFileAtomically(files.shipped, "[source]\nurl = \"http://a\"\nchannel = \"beta\"\n"));
  Result<Config> config = files.Load("[source]\nurl = \"http://b\"\n");
  REQUIRE(config);
  CHECK(config->url == "http://b");
  CHECK(config->channel == "beta");
}

TEST_CASE("an unknown key or section is refused with its line and what is known") {
  Files files;
  CHECK_THAT(
      files.Problem("[health]\nwindow = 5\nwindw = 5\n"),
      StartsWith("local.toml:3: unknown key windw in [health]; known are: window, deadline"));
  CHECK_THAT(files.Problem("\n[updates]\ntries = 3\n"),
             StartsWith("local.toml:2: unknown key updates at the top; known are: source, update"));
  CHECK_THAT(files.Problem("url = \"http://a\"\n"), StartsWith("local.toml:1: unknown key url"));
}

TEST_CASE("a value of the wrong type is refused with its line, what is right and what was found") {
  Files files;
  CHECK(files.Problem("[update]\ntries = \"3\"\n") ==
        "local.toml:2: [update] tries must be a whole number, found '3'");
  CHECK(files.Problem("[source]\nrate_limit = \"1M\"\n") ==
        "local.toml:2: [source] rate_limit must be a whole number, found '1M'");
  CHECK_THAT(files.Problem("[source]\n\nurl = 3\n"),
             StartsWith("local.toml:3: [source] url must be a string, found 3"));
  CHECK_THAT(files.Problem("[source]\nkeys = \"/etc/keys\"\n"),
             StartsWith("local.toml:2: [source] keys must be a list of strings"));
  CHECK_THAT(files.Problem("[health]\nplugins = [\"a\", 1]\n"),
             StartsWith("local.toml:2: [health] plugins must be a list of strings"));
  CHECK_THAT(files.Problem("[health]\nwindow = 1.5\n"),
             StartsWith("local.toml:2: [health] window must be a whole number, found 1.5"));
  CHECK_THAT(files.Problem("health = 3\n"), StartsWith("local.toml:1: health must be a table"));
}

TEST_CASE("a value out of range is refused with its line, the range and what was found") {
  Files files;
  struct {
    const char *section, *line, *expected;
  } cases[] = {
      {"update", "tries = 0", "tries must be a whole number from 1 to 10, found 0"},
      {"update", "tries = 11", "tries must be a whole number from 1 to 10, found 11"},
      {"update", "tries = 4294967297", "tries must be a whole number from 1 to 10"},
      {"source", "required_signatures = 0", "must be a whole number from 1 to 16, found 0"},
      {"source", "signatures = \"both\"", "must be classical, hybrid or pq, found 'both'"},
      {"health", "window = -1", "window must be a whole number from 0 to 720, found -1"},
      {"health", "deadline = 721", "deadline must be a whole number from 1 to 720"},
      {"health", "interval = 0", "interval must be a whole number from 1 to 300"},
      {"health", "check_timeout = 301", "check_timeout must be a whole number from 1 to 300"},
      {"source", "url = \"ftp://a\"", "url must be an http:// or https:// address"},
      {"source", "url = \"https:///repo\"", "url must be an http:// or https:// address"},
      {"source", "proxy = \"proxy:3128\"", "proxy must be an http:// or https:// address"},
      {"source", "url = \"ftp://me:pw@a.example\"", "https:// address, found ***@a.example"},
      {"source", "url = \"me:pw@a.example\"", "https:// address, found ***@a.example"},
      {"source", "proxy = \"http://a\\nb=c\"", "proxy must be an http:// or https:// address"},
      {"source", "rate_limit = 9999", "must be 0, or a whole number from 10000 to 1000000000"},
      {"source", "rate_limit = 1000000001", "from 10000 to 1000000000, found 1000000001"},
      {"source", "rate_limit = -1", "from 10000 to 1000000000, found -1"},
      {"source", "metered = \"ask\"", "metered must be allow or refuse, found 'ask'"},
      {"source", "channel = \"\"", "channel must be 1 to 29 characters of [A-Za-z0-9.-]"},
      {"source", "channel = \"a/b\"", "channel must be 1 to 29 characters of [A-Za-z0-9.-]"},
      {"source", "channel = \"a_b\"", "channel must be 1 to 29 characters of [A-Za-z0-9.-]"},
      {"source", "channel = \"..\"", "channel must be 1 to 29 characters of [A-Za-z0-9.-]"},
      {"source", "keys = []", "keys must be a list of absolute paths, at least one"},
      {"source", "keys = [\"keys\"]", "keys must be a list of absolute paths"},
      {"health", "checks = \"health.d\"", "checks must be an absolute path"},
      {"health", "runtime = \"\"", "runtime must be not empty"},
      {"health", "containerd_unit = \"k3s\"", "must be the name of a unit that ends in .service"},
      {"health", "containerd_unit = \"a b.service\"", "must be the name of a unit"},
      {"health", "containerd_unit = \".service\"", "must be the name of a unit"},
      {"health", "allowed_failed_units = [\"\"]", "must be a list of names"},
  };
  for (const auto& test : cases) {
    CAPTURE(test.line);
    CHECK_THAT(files.Problem(std::format("[{}]\n{}\n", test.section, test.line)),
               StartsWith("local.toml:2: ") && ContainsSubstring(test.expected));
  }
}

TEST_CASE("a deadline below the window is refused, whichever file has the other one") {
  Files files;
  CHECK_THAT(files.Problem("[health]\nwindow = 90\ndeadline = 60\n"),
             StartsWith("local.toml:3: [health] deadline (60 s) must not be below window (90 s)"));
  CHECK_THAT(
      files.Problem("[health]\n\nwindow = 301\n"),
      StartsWith("local.toml:3: [health] deadline (300 s) must not be below window (301 s)"));
  REQUIRE(WriteFileAtomically(files.shipped, "[health]\nwindow = 100\n"));
  CHECK_THAT(files.Problem("[health]\ndeadline = 99\n"), StartsWith("local.toml:2: "));
}

TEST_CASE("the first of several problems in a file is the one that is told") {
  Files files;
  CHECK_THAT(files.Problem("[update]\nfoo = 1\ntries = 99\n[source]\nurl = 3\n"),
             StartsWith("local.toml:2: unknown key foo"));
  CHECK_THAT(files.Problem("[update]\ntries = 99\nfoo = 1\n"),
             StartsWith("local.toml:2: [update] tries"));
}

TEST_CASE("a file that is not TOML is refused with its line") {
  Files files;
  CHECK_THAT(files.Problem("[source]\nurl = \"http://a\n"), StartsWith("local.toml:2: "));
  CHECK_THAT(files.Problem("[source]\n[source]\n"), StartsWith("local.toml:2: "));
}

TEST_CASE("a file that cannot be read is an error, unlike one that is absent") {
  Files files;
  Result<Config> config = LoadConfig({files.dir.path()});
  REQUIRE_FALSE(config);
  CHECK_THAT(config.error().message, ContainsSubstring("Is a directory"));
}

// What a rescue reads from a file, and what it leaves out.
std::pair<Config, std::vector<std::string>> Rescued(Files& files, const std::string& text) {
  REQUIRE(WriteFileAtomically(files.local, text));
  std::vector<std::string> unused;
  Config config = LoadWhatCanBe({files.shipped, files.local}, unused);
  return {config, unused};
}

TEST_CASE("a rescue goes on with what it can use of a file, and names the rest") {
  Files files;
  struct {
    const char *text, *unused;
  } cases[] = {
      {"[source]\nurl = \"https://a\"\nchannel = \"beta\"\n", ""},
      {"[source]\nurl = \"https://a\"\nmirrors = 3\nchannel = \"beta\"\n",
       "local.toml:3: unknown key mirrors"},
      {"[later]\nx = 1\n[source]\nurl = \"https://a\"\nchannel = \"beta\"\n",
       "local.toml:1: unknown key later"},
      {"[source]\nurl = \"https://a\"\nkeys = {a = 1}\nchannel = \"beta\"\n",
       "local.toml:3: [source] keys must be a list of strings"},
      {"[source]\nurl = \"https://a\"\nsignatures = \"later\"\nchannel = \"beta\"\n",
       "local.toml:3: [source] signatures must be"},
      {"update = 3\n[source]\nurl = \"https://a\"\nchannel = \"beta\"\n",
       "local.toml:1: update must be a table"},
      {"[source]\nurl = \"https://a\"\nproduct = <later>\nchannel = \"beta\"\n", "local.toml:3: "},
      {"[source]\nurl = \"https://a\"\nchannel = \"beta\"\nkeys = [\"/a\",\n  \"/b\"\n",
       "local.toml:"},
      {"[source]\nurl = \"https://a\"\nchannel = \"beta\"\n[source]\nproxy = \"http://b\"\n",
       "local.toml:4: "},
      {"\xff\xfe\n[source]\nurl = \"https://a\"\nchannel = \"beta\"\n", "local.toml:1: "},
  };
  for (const auto& test : cases) {
    CAPTURE(test.text);
    const auto& [config, unused] = Rescued(files, test.text);
    CHECK(config.url == "https://a");
    CHECK(config.channel == "beta");
    CHECK(config.product == "hostos");
    CHECK(config.signatures.policy == SignaturePolicy::kHybrid);
    CHECK(unused.empty() == std::string(test.unused).empty());
    if (!unused.empty()) CHECK_THAT(unused.front(), ContainsSubstring(test.unused));
  }
}

TEST_CASE("who signs is said by the newest release that was committed, and by the operator") {
  Files files;
  const auto rule = [&](const std::string& shipped, const std::string& local,
                        const std::optional<SignatureRule>& newest) {
    REQUIRE(WriteFileAtomically(files.shipped, "[source]\n" + shipped));
    REQUIRE(WriteFileAtomically(files.local, "[source]\n" + local));
    const Config config = LoadConfig({files.shipped, files.local}).value();
    CHECK(config.released_signatures == LoadConfig({files.shipped}).value().signatures);
    Record record;
    record.signatures = newest;
    std::vector<std::string> unused;
    CHECK(SignatureRuleOf(LoadWhatCanBe({files.shipped, files.local}, unused), record) ==
          SignatureRuleOf(config, record));
    return SignatureRuleOf(config, record);
  };
  using enum SignaturePolicy;
  const std::string classical = "signatures = \"classical\"\n", two = "required_signatures = 2\n";
  CHECK(rule(classical, "", std::nullopt) == SignatureRule{kClassical, 1});
  CHECK(rule(classical, "", SignatureRule{kHybrid, 2}) == SignatureRule{kHybrid, 2});
  CHECK(rule(classical, "", SignatureRule{kPq, 1}) == SignatureRule{kHybrid, 1});
  CHECK(rule(two, "", SignatureRule{kClassical, 1}) == SignatureRule{kHybrid, 2});
  CHECK(rule("", classical, SignatureRule{kHybrid, 2}) == SignatureRule{kClassical, 2});
  CHECK(rule("", "required_signatures = 1\n", SignatureRule{kPq, 2}) == SignatureRule{kHybrid, 1});
  CHECK_FALSE(Config{}.released_signatures);  // a file that cannot be read says nothing
}

TEST_CASE("a rescue goes on without a file that it cannot use at all") {
  Files files;
  REQUIRE(WriteFileAtomically(files.shipped, "[source]\nurl = \"https://shipped\"\n"));
  for (const std::string& text :
       {std::string(100'000, '\0'), std::string(1000, '\n') + "{",
        std::string("\"\"\"\n") + std::string(500, '['), std::string("{")}) {
    const auto& [config, unused] = Rescued(files, text);
    CHECK(config.url == "https://shipped");
    CHECK_FALSE(unused.empty());
  }
  std::vector<std::string> unused;
  CHECK(LoadWhatCanBe({files.shipped, files.dir.path()}, unused).url == "https://shipped");
  REQUIRE(unused.size() == 1);
  CHECK_THAT(unused[0], ContainsSubstring("Is a directory"));
}

}  // namespace
}  // namespace hostos
