#include "updater/hostctl/progress.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <sstream>

#include "tests/fakes/fake_clock.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;
using Style = PhaseProgress::Style;

// What a terminal of one line shows after `written`: the text since the last clearing.
std::string Visible(const std::string& written) {
  constexpr std::string_view kClear = "\r\033[K";
  const size_t at = written.rfind(kClear);
  return at == std::string::npos ? written : written.substr(at + kClear.size());
}

TEST_CASE("a terminal shows one bar with bytes, rate and time left, redrawn in place") {
  std::ostringstream out;
  FakeClock clock;
  PhaseProgress progress(out, clock, Style::kTerminal);
  progress.Begin("fetch", "1,303 objects");
  CHECK(Visible(out.str()) == "fetch     1,303 objects ...");
  progress.Bytes(0, 40'000'000);
  clock.Sleep(Seconds(2));
  progress.Bytes(20'000'000, 40'000'000);
  CHECK(Visible(out.str()) ==
        "fetch     [##########----------]  20.0 of 40.0 MB  10.0 MB/s  0:02 left");
  CHECK_THAT(out.str(), !ContainsSubstring("\n"));
  clock.Sleep(Seconds(2));
  progress.Bytes(40'000'000, 40'000'000);
  progress.Finish(true);
  CHECK(Visible(out.str()) == "fetch     1,303 objects, 40.0 MB in 4.0 s\n");
}

TEST_CASE("a terminal is redrawn ten times a second at most") {
  std::ostringstream out;
  FakeClock clock;
  PhaseProgress progress(out, clock, Style::kTerminal);
  progress.Begin("write", "slot A");
  const size_t before = out.str().size();
  for (int i = 0; i < 1000; i++) progress.Bytes(static_cast<uint64_t>(i), 1000);
  CHECK(out.str().size() == before);
  clock.Sleep(Milliseconds(100));
  progress.Bytes(1000, 1000);
  CHECK(out.str().size() > before);
}

TEST_CASE("a narrow terminal gets a line that does not wrap") {
  std::ostringstream out;
  FakeClock clock;
  PhaseProgress progress(out, clock, Style::kTerminal, 40);
  progress.Begin("arm", std::string(100, 'x'));
  CHECK(Visible(out.str()).size() == 39);
  progress.Begin("fetch", "");
  progress.Bytes(0, 1'000'000);
  clock.Sleep(Seconds(1));
  progress.Bytes(500'000, 1'000'000);
  CHECK_THAT(Visible(out.str()), !ContainsSubstring("[") && ContainsSubstring("0.5 of 1.0 MB"));
}

TEST_CASE("a log gets a line when a phase begins, one when it ends, one per ten seconds inside") {
  std::ostringstream out;
  FakeClock clock;
  {
    PhaseProgress progress(out, clock, Style::kLog);
    progress.Begin("resolve", "newest of stable");
    progress.Begin("fetch", "1,303 objects");
    for (int second = 0; second <= 25; second++) {
      progress.Bytes(static_cast<uint64_t>(second) * 1'000'000, 100'000'000);
      clock.Sleep(Seconds(1));
    }
  }
  CHECK(out.str() ==
        "resolve: newest of stable\n"
        "resolve: done, 0.0 s\n"
        "fetch: 1,303 objects\n"
        "fetch: 10.0 of 100.0 MB  1.0 MB/s  1:30 left\n"
        "fetch: 20.0 of 100.0 MB  1.0 MB/s  1:20 left\n"
        "fetch: stopped after 25.0 MB in 26.0 s\n");
}

TEST_CASE("the same phase again only replaces what is said of it") {
  std::ostringstream out;
  FakeClock clock;
  PhaseProgress progress(out, clock, Style::kTerminal);
  progress.Begin("resolve", "newest of stable");
  progress.Begin("resolve", "1.3.0 is signed by 2 of 2 required keys");
  progress.Finish(true);
  CHECK(Visible(out.str()) == "resolve   1.3.0 is signed by 2 of 2 required keys\n");
  const std::string text = out.str();
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
}

TEST_CASE("bytes of an earlier run are no measure of speed") {
  std::ostringstream out;
  FakeClock clock;
  PhaseProgress progress(out, clock, Style::kTerminal);
  progress.Begin("fetch", "");
  progress.Bytes(30'000'000, 40'000'000);
  clock.Sleep(Seconds(1));
  progress.Bytes(31'000'000, 40'000'000);
  CHECK_THAT(Visible(out.str()), ContainsSubstring("1.0 MB/s  0:09 left"));
}

TEST_CASE("a quiet run shows nothing") {
  std::ostringstream out;
  FakeClock clock;
  {
    PhaseProgress progress(out, clock, Style::kQuiet);
    progress.Begin("fetch", "1,303 objects");
    clock.Sleep(Seconds(60));
    progress.Bytes(1, 2);
  }
  CHECK(out.str().empty());
}

}  // namespace
}  // namespace hostos
