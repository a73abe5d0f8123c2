// The canary in a real containerd with a real runc.
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <format>
#include <fstream>
#include <set>
#include <thread>

#include "tests/health/limits.h"
#include "tests/health/unix_socket.h"
#include "tests/temp_dir.h"
#include "updater/base/unique_fd.h"
#include "updater/containerd/containerd.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

pid_t Spawn(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  REQUIRE(::posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ) == 0);
  return pid;
}

int Wait(pid_t pid) {
  int status = -1;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return status;
}

// containerd with a root, a state and a socket of its own. It runs in a mount namespace whose root
// is a mount point, which runc needs and a chroot does not have.
class RealContainerd {
 public:
  // `cri` is the configuration of that plugin; without any there is none.
  explicit RealContainerd(const std::string& cri = "") {
    if (::geteuid() != 0) SKIP("a real container takes root");
    std::ofstream(dir_ / "config.toml") << std::format(
        "version = 2\nroot = '{0}/root'\nstate = '{0}/state'\n"
        "disabled_plugins = [{2}]\n[grpc]\naddress = '{1}'\n{3}",
        dir_.path(), socket(), cri.empty() ? "'io.containerd.grpc.v1.cri'" : "", cri);
    fs::create_directory(dir_ / "state");
    fs::create_directory(dir_ / "mount");
    Start();
  }

  void Start() {
    const UniqueFd notify = Notify();
    pid_ = Spawn({"unshare", "--mount", "--propagation", "unchanged", "sh", "-c",
                  "mount --make-rprivate / 2>/dev/null; mount --rbind / \"$1/mount\" &&\n"
                  "mount --make-rprivate \"$1/mount\" &&\n"
                  "exec chroot \"$1/mount\" env NOTIFY_SOCKET=\"$1/notify\" \\\n"
                  "  containerd -c \"$1/config.toml\" >\"$1/log\" 2>&1",
                  "sh", dir_.path()});
    WaitReady(notify.get());
  }

  ~RealContainerd() { End(SIGTERM); }

  void End(int signal) {
    ::kill(pid_, signal);
    ::waitpid(pid_, nullptr, 0);
  }

  std::string socket() const { return dir_ / "state/containerd.sock"; }
  std::string bundles() const { return dir_ / "state/io.containerd.runtime.v2.task/hostos-health"; }

  // A root file system with the canary, which behaves as told.
  std::string Rootfs(const std::string& behaviour) const {
    const std::string root = dir_ / ("canary-" + behaviour);
    for (const char* name : {"bin", "proc", "dev", "sys"})
      fs::create_directories(root + "/" + name);
    fs::copy_file(TEST_CANARY, root + "/bin/canary");
    fs::permissions(root + "/bin/canary", fs::perms(0755));
    std::ofstream(root + "/behaviour") << behaviour;
    fs::permissions(root,
                    fs::perms(0777));  // so that only the read-only mount keeps it from writing
    return root;
  }

  std::string Canary(const std::string& rootfs, Milliseconds limit = kAmple) const {
    const Result<std::string> result =
        Containerd(socket()).RunCanary(rootfs, "io.containerd.runc.v2", Deadline(limit));
    return result ? *result : result.error().message;
  }

  // What is there now of canaries: containers, tasks, bundles, shims and cgroups.
  size_t Remains() const {
    size_t count = RemainsOfContainerd();
    for (const std::string& group : Cgroups()) count += !before_.contains(group);
    return count;
  }

  size_t RemainsOfContainerd() const {
    size_t count = fs::exists(bundles()) ? Entries(bundles()) : 0;
    const std::string shim = "containerd-shim-runc-v2", namespace_of = "hostos-health";
    for (const fs::directory_entry& process : fs::directory_iterator("/proc")) {
      const std::string line = ReadFile(process.path() / "cmdline").value_or("");
      if (line.contains(shim) && line.contains(namespace_of) && line.contains(socket()))
        count += !Ends(std::stoi(process.path().filename()));
    }
    for (const char* kind : {"containers", "tasks"}) {
      const std::string out = dir_ / "out";
      REQUIRE(Wait(Spawn({"sh", "-c", "exec ctr -a \"$1\" -n hostos-health \"$2\" ls -q >\"$3\"",
                          "sh", socket(), kind, out})) == 0);
      count += fs::file_size(out);
    }
    return count;
  }

  // Of this process, or of one before it that had its number.
  static std::set<std::string> Cgroups() {
    const std::string mine = std::format("hostos-canary-{}-{}-", Boot(), ::getpid());
    std::set<std::string> groups;
    const auto add = [&](const fs::path& path) {
      if (path.filename().string().starts_with(mine)) groups.insert(path);
    };
    for (const fs::directory_entry& top : fs::directory_iterator("/sys/fs/cgroup")) {
      add(top.path());
      if (!top.is_directory()) continue;
      for (const fs::directory_entry& group : fs::directory_iterator(top.path())) add(group.path());
    }
    return groups;
  }

  // A shim is told to end, and does so in a moment.
  static bool Ends(pid_t pid) {
    const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    pollfd polled = {pidfd.get(), POLLIN, 0};
    return !pidfd || ::poll(&polled, 1, 10'000) == 1;
  }

  static size_t Entries(const std::string& directory) {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
  }

  static std::string Boot() {
    return ReadFile("/proc/sys/kernel/random/boot_id").value().substr(0, 8);
  }

 private:
  UniqueFd Notify() {
    fs::remove(dir_ / "notify");
    UniqueFd fd = BindUnix(dir_ / "notify", SOCK_DGRAM);
    const timeval limit = {.tv_sec = 60, .tv_usec = 0};
    REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    return fd;
  }

  void WaitReady(int notify) {
    char message[4096];
    const ssize_t n = ::recv(notify, message, sizeof message, 0);
    INFO(ReadFile(dir_ / "log").value_or("no log"));
    REQUIRE(n > 0);
    REQUIRE(std::string_view(message, static_cast<size_t>(n)).contains("READY=1"));
  }

  TempDir dir_;
  const std::set<std::string> before_ = Cgroups();
  pid_t pid_ = 0;
};

TEST_CASE("a real containerd runs the canary as it should, again and again") {
  RealContainerd containerd;
  CHECK(Containerd(containerd.socket()).Serving(Deadline(kAmple)));
  CHECK(Containerd(containerd.socket()).Version(Deadline(kAmple))->starts_with("1."));
  const std::string rootfs = containerd.Rootfs("0");
  for (int i = 0; i < 3; i++) CHECK(containerd.Canary(rootfs) == "");
  CHECK_FALSE(fs::exists(rootfs + "/created"));
  CHECK(containerd.Remains() == 0);
}

TEST_CASE("a real containerd's plugins are seen with their errors") {
  RealContainerd real;
  Containerd containerd(real.socket());
  CHECK(containerd.HasPlugins({"io.containerd.grpc.v1.tasks", "io.containerd.snapshotter.v1"},
                              Deadline(kAmple)));
  CHECK(containerd.HasPlugins({"io.containerd.snapshotter.v1.zfs"}, Deadline(kAmple))
            .error()
            .message.contains("skip plugin"));
  CHECK(containerd.HasPlugins({"io.containerd.grpc.v1.cri"}, Deadline(kAmple))
            .error()
            .message.contains("its configuration disables it"));
}

TEST_CASE("a canary that a real containerd cannot run says why and leaves nothing behind") {
  RealContainerd containerd;
  const std::string failing = containerd.Rootfs("3");
  CHECK(containerd.Canary(failing) ==
        std::format("/bin/canary of {} ended with exit code 3, expected 0", failing));
  CHECK(containerd.Remains() == 0);

  const std::string empty = containerd.Rootfs("0");
  fs::remove(empty + "/bin/canary");
  const std::string no_program = containerd.Canary(empty);
  CHECK(no_program.starts_with("task create: "));
  CHECK(no_program.contains("/bin/canary"));
  CHECK(containerd.Remains() == 0);

  CHECK(containerd.Canary("/no/such/rootfs").starts_with("task create: "));
  CHECK(containerd.Remains() == 0);
}

TEST_CASE("a canary that hangs in a real containerd is killed at the deadline") {
  RealContainerd containerd;
  const std::string hanging = containerd.Rootfs("hang");
  CHECK(containerd.Canary(hanging, Seconds(5)) == "task wait: no answer within 5 s");
  CHECK(containerd.Remains() == 0);
}

TEST_CASE("a real containerd says what it runs pods with") {
  const std::string cni = R"([plugins."io.containerd.grpc.v1.cri".cni]
conf_dir = "/tmp"
bin_dir = "/opt/cni/bin"
)";
  const auto ask = [](const std::string& cri) {
    RealContainerd real(cri);
    return Containerd(real.socket()).HasHostOsSettings(Deadline(kAmple));
  };
  CHECK(ask(cni + R"([plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = true
)"));
  CHECK(ask(cni).error().message.starts_with("CRI runs with SystemdCgroup false, expected true"));
}

// Waits until something is created in a directory.
class Creation {
 public:
  explicit Creation(const std::string& directory) : inotify_(::inotify_init1(IN_CLOEXEC)) {
    fs::create_directories(directory);
    REQUIRE(::inotify_add_watch(inotify_.get(), directory.c_str(), IN_CREATE) >= 0);
  }
  void Wait() const {
    pollfd polled = {inotify_.get(), POLLIN, 0};
    REQUIRE(::poll(&polled, 1, 60'000) == 1);
  }

 private:
  UniqueFd inotify_;
};

TEST_CASE("a real containerd killed in the middle of a canary runs the next one, and all is gone") {
  RealContainerd containerd;
  const std::string hanging = containerd.Rootfs("hang"), good = containerd.Rootfs("0");
  // From the moment there is a bundle, later and later: before its shim, before its task, in it.
  for (const int delay : {0, 2, 5, 10, 20, 40, 80, 160, 2000}) {
    CAPTURE(delay);
    const Creation bundle(containerd.bundles());
    std::thread canary([&] { (void)containerd.Canary(hanging, Seconds(30)); });
    bundle.Wait();
    std::this_thread::sleep_for(Milliseconds(delay));
    containerd.End(SIGKILL);
    canary.join();
    containerd.Start();
    CHECK(containerd.Canary(good) == "");
    CHECK(containerd.Canary(good) == "");
    // A runc that was cut off may leave an empty cgroup, which no later canary has the name of.
    CHECK(containerd.RemainsOfContainerd() == 0);
  }
}

TEST_CASE("a running canary that a killed run left in a real containerd is removed") {
  RealContainerd containerd;
  const std::string hanging = containerd.Rootfs("hang");
  REQUIRE(Wait(Spawn({"ctr", "-a", containerd.socket(), "-n", "hostos-health", "run", "--detach",
                      "--null-io", "--user", "65534", "--rootfs", hanging, "canary-00000000-1",
                      "/bin/canary"})) == 0);
  CHECK(containerd.Remains() > 0);
  CHECK(containerd.Canary(containerd.Rootfs("0")) == "");
  CHECK(containerd.Remains() == 0);
}

}  // namespace
}  // namespace hostos
