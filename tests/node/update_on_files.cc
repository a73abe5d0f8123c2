// An update of a FileNode, as a program of its own that can be killed and measured:
//   update_on_files DIRECTORY [PHASE PERCENT SIGNAL]
// Prints, as JSON, what it cost and what it did. With a phase, it sends itself the signal when that
// phase begins, or as soon as that percentage of it is done. SIGSTOP stands for the whole machine,
// so it goes to the process that fetches too: both are in a process group of their own.
#include <signal.h>

#include <chrono>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>

#include "tests/node/file_world.h"
#include "updater/engine/update.h"

namespace hostos {
namespace {

using nlohmann::json;

// Wall and processor time of each phase, and a signal in one of them.
class Phases : public Progress {
 public:
  Phases() = default;
  Phases(std::string phase, uint64_t percent, int signal)
      : signalled_(std::move(phase)), percent_(percent), signal_(signal) {}

  void Begin(std::string_view phase, std::string_view) override {
    End();
    phase_ = phase;
    if (percent_ == 0) Signal();
  }
  void Bytes(uint64_t done, uint64_t total) override {
    if (total > 0 && done * 100 >= total * percent_) Signal();
  }

  json Take() {
    End();
    return std::move(phases_);
  }

 private:
  void Signal() {
    if (phase_ != signalled_ || signal_ == 0) return;
    const int signal = std::exchange(signal_, 0);
    ::kill(signal == SIGSTOP ? 0 : ::getpid(), signal);
  }
  void End() {
    const auto now = std::chrono::steady_clock::now();
    const double cpu = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
    if (!phase_.empty()) {
      json& of = *phases_.emplace(phase_, json{{"wall", 0.0}, {"cpu", 0.0}}).first;
      of["wall"] = of["wall"].get<double>() + std::chrono::duration<double>(now - begin_).count();
      of["cpu"] = of["cpu"].get<double>() + cpu - cpu_;
    }
    begin_ = now;
    cpu_ = cpu;
  }

  std::string signalled_;
  uint64_t percent_ = 0;
  int signal_ = 0;
  json phases_ = json::object();
  std::string phase_;
  std::chrono::steady_clock::time_point begin_;
  double cpu_ = 0;
};

Result<json> UpdateFiles(FileWorld& node, Phases& phases) {
  const UpdatePlan plan = TRY(Update(node.world, Config{}, {}, phases));
  return json{{"phases", phases.Take()},
              {"commit", plan.target.release.commit.Hex()},
              {"image_bytes", plan.target.release.image_size},
              {"slot_written_bytes", plan.written},
              {"uki_bytes", plan.target.release.uki_size}};
}

}  // namespace
}  // namespace hostos

int main(int count, char** arguments) {
  if (count != 2 && count != 5) return 2;
  hostos::FileWorld node(arguments[1]);
  hostos::Phases phases;
  if (count == 5) {
    ::setpgid(0, 0);
    phases = {arguments[2], std::stoul(arguments[3]), std::stoi(arguments[4])};
  }
  auto done = hostos::UpdateFiles(node, phases);
  if (!done) {
    std::cerr << done.error().message << "\n";
    return 1;
  }
  std::cout << *done << "\n";
  return 0;
}
