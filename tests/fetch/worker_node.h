// A node whose worker is the real program, as a user of its own.
#pragma once

#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tests/source/update_fixture.h"
#include "updater/fetch/remote_source.h"

namespace hostos {

inline constexpr uid_t kNobody = 65534;

// A node whose worker is the program, as nobody where that is possible.
class Node {
 public:
  Node() {
    std::filesystem::create_directory(own);
    if (::geteuid() == 0) REQUIRE(::chown(own.c_str(), kNobody, kNobody) == 0);
    REQUIRE(::chmod(update.publisher.directory.path().c_str(), 0711) == 0);
    AddFiles(update.tree, "new", 20, 2);
    update.publisher.Publish(update.tree, "1.1");
  }
  ~Node() { Wait(); }

  RemoteSource Source(const std::string& url) { return Source(update.Options(url)); }
  RemoteSource Source(SourceOptions options) {
    return RemoteSource([this] { return StartWorker(); }, std::move(options), Seconds(60));
  }

  // Until the workers of sources that are gone are gone too.
  void Wait() {
    for (const pid_t pid : std::exchange(workers_, {})) CHECK(::waitpid(pid, nullptr, 0) == pid);
  }

  // Gives its other end.
  Result<UniqueFd> StartWorker() {
    auto [ours, theirs] = TRY(StreamPair());
    // By descriptor: nobody may be kept out of the directories above it.
    const UniqueFd program = TRY(Open(FETCH_PROGRAM, O_PATH));
    const std::string state = "STATE_DIRECTORY=" + own, temporary = "TMPDIR=" + own;
    const char* const arguments[] = {"fetch", nullptr};
    const char* const variables[] = {state.c_str(), temporary.c_str(), nullptr};
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::dup2(theirs.get(), STDIN_FILENO);
      if (::geteuid() == 0 &&
          (::setgroups(0, nullptr) < 0 || ::setgid(kNobody) < 0 || ::setuid(kNobody) < 0))
        ::_exit(1);
      ::fexecve(program.get(), const_cast<char* const*>(arguments),
                const_cast<char* const*>(variables));
      ::_exit(1);
    }
    workers_.push_back(pid);
    return std::move(ours);
  }

  Update update;
  std::string own = update.publisher.directory / "fetch";

 private:
  std::vector<pid_t> workers_;
};

}  // namespace hostos
