#include "updater/health/systemd.h"

#include <stdlib.h>
#include <systemd/sd-bus.h>

#include <format>

#include "updater/base/printable.h"

namespace hostos {
namespace {

constexpr char kDestination[] = "org.freedesktop.systemd1";
constexpr char kManagerPath[] = "/org/freedesktop/systemd1";
constexpr char kManager[] = "org.freedesktop.systemd1.Manager";
constexpr char kUnit[] = "org.freedesktop.systemd1.Unit";
constexpr char kService[] = "org.freedesktop.systemd1.Service";

struct Free {
  void operator()(char* text) const { ::free(text); }
};
using Text = std::unique_ptr<char, Free>;

struct Unref {
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, Unref>;

class BusError {
 public:
  ~BusError() { sd_bus_error_free(&error_); }
  sd_bus_error* get() { return &error_; }

  // `result` is the call's return value, a negative errno.
  std::unexpected<Error> AsFailure(std::string_view what, int result, const Deadline& deadline) {
    if (result == -ETIMEDOUT || sd_bus_error_has_name(&error_, SD_BUS_ERROR_NO_REPLY))
      return Fail(Code::kUnhealthy, "{}: no answer within {}", what,
                  FormatSeconds(deadline.limit()));
    if (error_.message)
      return Fail(Code::kUnhealthy, "{}: {} ({})", what, OneLine(error_.message), error_.name);
    return FailErrno(what, -result);
  }

 private:
  sd_bus_error error_ = SD_BUS_ERROR_NULL;
};

}  // namespace

void Systemd::Close::operator()(sd_bus* bus) const {
  sd_bus_close_unref(bus);
}

// Never 0: sd-bus takes it for its own default.
uint64_t Systemd::MicrosecondsLeft() const {
  return std::max<uint64_t>(1, std::chrono::microseconds(deadline_.left()).count());
}

Result<Systemd> Systemd::Connect(const std::string& address, const Deadline& deadline) {
  sd_bus* raw = nullptr;
  int r = sd_bus_new(&raw);
  Systemd systemd(Bus(raw), deadline);
  if (r >= 0) r = sd_bus_set_address(raw, address.c_str());
  if (r >= 0) r = sd_bus_set_bus_client(raw, true);
  if (r >= 0) r = sd_bus_start(raw);
  // Runs the handshake by hand: sd-bus would wait up to 90 s for a bus that accepts and stays
  // silent.
  while (r >= 0 && (r = sd_bus_is_ready(raw)) == 0) {
    r = sd_bus_process(raw, nullptr);
    if (r != 0) continue;
    if (deadline.left() == Milliseconds(0))
      r = -ETIMEDOUT;
    else
      r = sd_bus_wait(raw, systemd.MicrosecondsLeft());
  }
  if (r < 0) return BusError().AsFailure("connect to " + address, r, deadline);
  return systemd;
}

Result<std::string> Systemd::TextProperty(const char* path, const char* interface,
                                          const char* name) {
  BusError error;
  char* text = nullptr;
  (void)sd_bus_set_method_call_timeout(bus_.get(), MicrosecondsLeft());  // fails only for NULL
  int r = sd_bus_get_property_string(bus_.get(), kDestination, path, interface, name, error.get(),
                                     &text);
  if (r < 0) return error.AsFailure(name, r, deadline_);
  return OneLine(Text(text).get());
}

Result<uint32_t> Systemd::NumberProperty(const char* destination, const char* path,
                                         const char* interface, const char* name) {
  BusError error;
  uint32_t number = 0;
  (void)sd_bus_set_method_call_timeout(bus_.get(), MicrosecondsLeft());  // fails only for NULL
  int r = sd_bus_get_property_trivial(bus_.get(), destination, path, interface, name, error.get(),
                                      'u', &number);
  if (r < 0) return error.AsFailure(name, r, deadline_);
  return number;
}

Result<std::string> Systemd::SystemState() {
  return TextProperty(kManagerPath, kManager, "SystemState");
}

// Whether this property, a list of names, has any.
Result<bool> Systemd::HasNames(const char* path, const char* interface, const char* name) {
  BusError error;
  char** raw = nullptr;
  (void)sd_bus_set_method_call_timeout(bus_.get(), MicrosecondsLeft());  // fails only for NULL
  const int r =
      sd_bus_get_property_strv(bus_.get(), kDestination, path, interface, name, error.get(), &raw);
  const bool any = raw && raw[0];
  for (char** text = raw; text && *text; text++) ::free(*text);
  ::free(raw);
  if (r < 0) return error.AsFailure(name, r, deadline_);
  return any;
}

Result<std::vector<std::string>> Systemd::UnitsIn(const char* state) {
  constexpr char kMethod[] = "ListUnitsFiltered";
  BusError error;
  sd_bus_message* raw = nullptr;
  (void)sd_bus_set_method_call_timeout(bus_.get(), MicrosecondsLeft());  // fails only for NULL
  int r = sd_bus_call_method(bus_.get(), kDestination, kManagerPath, kManager, kMethod, error.get(),
                             &raw, "as", 1, state);
  const Message reply(raw);
  if (r < 0) return error.AsFailure(kMethod, r, deadline_);

  std::vector<std::string> units;
  const char* name = nullptr;
  r = sd_bus_message_enter_container(raw, 'a', "(ssssssouso)");
  while (r >= 0 && (r = sd_bus_message_enter_container(raw, 'r', "ssssssouso")) > 0) {
    r = sd_bus_message_read(raw, "s", &name);
    if (r >= 0) units.push_back(OneLine(name));
    if (r >= 0) r = sd_bus_message_skip(raw, "sssssouso");
    if (r >= 0) r = sd_bus_message_exit_container(raw);
  }
  if (r < 0) return error.AsFailure(kMethod, r, deadline_);
  return units;
}

Result<std::vector<std::string>> Systemd::StartingUnits() {
  constexpr char kMethod[] = "ListJobs";
  BusError error;
  sd_bus_message* raw = nullptr;
  (void)sd_bus_set_method_call_timeout(bus_.get(), MicrosecondsLeft());  // fails only for NULL
  int r = sd_bus_call_method(bus_.get(), kDestination, kManagerPath, kManager, kMethod, error.get(),
                             &raw, "");
  const Message reply(raw);
  if (r < 0) return error.AsFailure(kMethod, r, deadline_);

  std::vector<std::pair<std::string, std::string>> running;  // unit and object path
  uint32_t id = 0;
  const char *unit = nullptr, *type = nullptr, *state = nullptr, *job = nullptr, *path = nullptr;
  r = sd_bus_message_enter_container(raw, 'a', "(usssoo)");
  while (r >= 0 &&
         (r = sd_bus_message_read(raw, "(usssoo)", &id, &unit, &type, &state, &job, &path)) > 0)
    if (state == std::string_view("running") && type != std::string_view("stop"))
      running.emplace_back(OneLine(unit), path);
  if (r < 0) return error.AsFailure(kMethod, r, deadline_);

  std::vector<std::string> units;
  if (running.empty()) return units;
  const std::string own = TRY(OwnUnit());
  for (const auto& [name, object] : running)
    if (object != own && TRY_CONTEXT(name, IsWanted(object))) units.push_back(name);
  return units;
}

// A unit that no other unit wants belongs to a timer, or to whoever typed the command.
Result<bool> Systemd::IsWanted(const std::string& path) {
  for (const char* relation : {"WantedBy", "RequiredBy", "BoundBy", "UpheldBy"})
    if (TRY(HasNames(path.c_str(), kUnit, relation))) return true;
  return false;
}

// The object path of this process's unit; "" when it is in none.
Result<std::string> Systemd::OwnUnit() {
  constexpr char kMethod[] = "GetUnitByPID";
  BusError error;
  sd_bus_message* raw = nullptr;
  (void)sd_bus_set_method_call_timeout(bus_.get(), MicrosecondsLeft());  // fails only for NULL
  int r = sd_bus_call_method(bus_.get(), kDestination, kManagerPath, kManager, kMethod, error.get(),
                             &raw, "u", 0);  // 0: the caller's own
  const Message reply(raw);
  if (sd_bus_error_has_name(error.get(), "org.freedesktop.systemd1.NoUnitForPID")) return "";
  const char* path = nullptr;
  if (r >= 0) r = sd_bus_message_read(raw, "o", &path);
  if (r < 0) return error.AsFailure(kMethod, r, deadline_);
  return path;
}

Result<ServiceState> Systemd::Service(const std::string& unit) {
  char* raw = nullptr;
  int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit.c_str(), &raw);
  const Text path(raw);
  if (r < 0) return BusError().AsFailure(unit, r, deadline_);
  ServiceState state;
  state.active_state = TRY_CONTEXT(unit, TextProperty(raw, kUnit, "ActiveState"));
  state.main_pid = TRY_CONTEXT(unit, NumberProperty(kDestination, raw, kService, "MainPID"));
  state.restarts = TRY_CONTEXT(unit, NumberProperty(kDestination, raw, kService, "NRestarts"));
  return state;
}

Result<uint32_t> Systemd::NetworkMetered() {
  constexpr char kNetworkManager[] = "org.freedesktop.NetworkManager";
  return NumberProperty(kNetworkManager, "/org/freedesktop/NetworkManager", kNetworkManager,
                        "Metered");
}

}  // namespace hostos
