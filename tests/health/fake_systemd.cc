#include "tests/health/fake_systemd.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <systemd/sd-bus.h>

#include <mutex>
#include <stdexcept>
#include <thread>

#include "tests/health/unix_socket.h"
#include "tests/temp_dir.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

constexpr char kManagerPath[] = "/org/freedesktop/systemd1";

std::string PathOf(const std::string& unit) {
  char* path = nullptr;
  if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit.c_str(), &path) < 0)
    throw std::runtime_error("path of " + unit);
  std::string text = path;
  ::free(path);
  return text;
}

}  // namespace

class FakeSystemd::Server {
 public:
  explicit Server(State state) : state_(std::move(state)) {
    if (::listen(listening_.get(), 8) < 0) throw std::runtime_error("listen");
    thread_ = std::thread([this] { Serve(); });
  }

  ~Server() {
    ::eventfd_write(stop_.get(), 1);
    thread_.join();
  }

  const std::string& path() const { return path_; }
  void Set(State state) {
    const std::lock_guard lock(mutex_);
    state_ = std::move(state);
  }

 private:
  // One connection after the other, as the checks make them.
  void Serve() {
    while (Readable(listening_.get())) {
      const int fd = ::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      sd_bus* bus = nullptr;
      sd_id128_t id = {};
      sd_bus_new(&bus);
      sd_bus_set_fd(bus, fd, fd);
      sd_bus_set_server(bus, true, id);
      sd_bus_add_object(bus, nullptr, "/", Handle, this);
      sd_bus_add_fallback(bus, nullptr, "/", Handle, this);
      int r = sd_bus_start(bus);
      while (r >= 0) {
        r = sd_bus_process(bus, nullptr);
        if (r == 0 && !Readable(sd_bus_get_fd(bus))) break;
      }
      sd_bus_close_unref(bus);
    }
  }

  // Waits for it; false when the server is to stop.
  bool Readable(int fd) {
    pollfd polled[2] = {{fd, POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    ::poll(polled, 2, -1);
    return polled[1].revents == 0;
  }

  static int Handle(sd_bus_message* message, void* self, sd_bus_error* error) {
    return static_cast<Server*>(self)->Answer(message, error);
  }

  int Answer(sd_bus_message* call, sd_bus_error* error) {
    const std::lock_guard lock(mutex_);
    const std::string path = sd_bus_message_get_path(call);
    const std::string member = sd_bus_message_get_member(call);
    if (member == "Hello") return sd_bus_reply_method_return(call, "s", ":1.1");
    if (!state_.answers) return 1;
    if (path == kManagerPath && member == "ListUnitsFiltered") return ListUnits(call);
    if (path == kManagerPath && member == "ListJobs") return ListJobs(call);
    if (path == kManagerPath && member == "GetUnitByPID") {
      if (state_.own_unit.empty())
        return sd_bus_error_set(error, "org.freedesktop.systemd1.NoUnitForPID", "no unit");
      return sd_bus_reply_method_return(call, "o", PathOf(state_.own_unit).c_str());
    }
    const char *interface = "", *property = "";
    if (member != "Get" || sd_bus_message_read(call, "ss", &interface, &property) < 0) return 0;
    const std::string name = path + " " + interface + "." + property;
    const std::string service = PathOf(state_.containerd_unit) + " org.freedesktop.systemd1.";
    if (name == std::string(kManagerPath) + " org.freedesktop.systemd1.Manager.SystemState")
      return sd_bus_reply_method_return(call, "v", "s", state_.system_state.c_str());
    if (name == service + "Unit.ActiveState")
      return sd_bus_reply_method_return(call, "v", "s", state_.containerd.active_state.c_str());
    if (name == service + "Service.MainPID")
      return sd_bus_reply_method_return(call, "v", "u", state_.containerd.main_pid);
    if (name == service + "Service.NRestarts")
      return sd_bus_reply_method_return(call, "v", "u", state_.containerd.restarts);
    if (name == "/org/freedesktop/NetworkManager org.freedesktop.NetworkManager.Metered")
      return state_.metered ? sd_bus_reply_method_return(call, "v", "u", *state_.metered)
                            : sd_bus_error_set(error, SD_BUS_ERROR_SERVICE_UNKNOWN, "not running");
    for (const FakeJob& job : state_.jobs)
      for (const char* relation : {"WantedBy", "RequiredBy", "BoundBy", "UpheldBy"})
        if (name == PathOf(job.unit) + " org.freedesktop.systemd1.Unit." + relation)
          return job.wanted && relation == std::string("RequiredBy")
                     ? sd_bus_reply_method_return(call, "v", "as", 1, "some.target")
                     : sd_bus_reply_method_return(call, "v", "as", 0);
    return sd_bus_error_setf(error, SD_BUS_ERROR_UNKNOWN_PROPERTY, "no %s", name.c_str());
  }

  int ListJobs(sd_bus_message* call) {
    sd_bus_message* reply = nullptr;
    sd_bus_message_new_method_return(call, &reply);
    sd_bus_message_open_container(reply, 'a', "(usssoo)");
    for (const FakeJob& job : state_.jobs)
      sd_bus_message_append(reply, "(usssoo)", 7, job.unit.c_str(), job.type.c_str(),
                            job.state.c_str(), "/job", PathOf(job.unit).c_str());
    sd_bus_message_close_container(reply);
    const int r = sd_bus_send(nullptr, reply, nullptr);
    sd_bus_message_unref(reply);
    return r < 0 ? r : 1;
  }

  int ListUnits(sd_bus_message* call) {
    const char* wanted = "";
    sd_bus_message_enter_container(call, 'a', "s");
    sd_bus_message_read(call, "s", &wanted);
    sd_bus_message* reply = nullptr;
    sd_bus_message_new_method_return(call, &reply);
    sd_bus_message_open_container(reply, 'a', "(ssssssouso)");
    for (const std::string& unit :
         wanted == std::string("failed") ? state_.failed : state_.restarting)
      sd_bus_message_append(reply, "(ssssssouso)", unit.c_str(), "a unit", "loaded", "a state",
                            wanted, "", "/unit", 0, "", "/");
    sd_bus_message_close_container(reply);
    const int r = sd_bus_send(nullptr, reply, nullptr);
    sd_bus_message_unref(reply);
    return r < 0 ? r : 1;
  }

  TempDir dir_;
  const std::string path_ = dir_ / "bus";
  UniqueFd listening_ = BindUnix(path_, SOCK_STREAM);
  UniqueFd stop_{::eventfd(0, EFD_CLOEXEC)};
  std::mutex mutex_;
  State state_;
  std::thread thread_;
};

FakeSystemd::FakeSystemd(State state) : server_(std::make_unique<Server>(std::move(state))) {}

FakeSystemd::~FakeSystemd() = default;

std::string FakeSystemd::address() const {
  return "unix:path=" + server_->path();
}

void FakeSystemd::Set(State state) {
  server_->Set(std::move(state));
}

}  // namespace hostos
