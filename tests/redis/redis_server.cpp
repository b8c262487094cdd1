// SPDX-License-Identifier: Apache-2.0
#include "redis_server.h"

#include <arpa/inet.h>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace redis_test {

namespace {

// Tests run beside each other, and between the choice of a port and the server that listens there
// another might choose the same. So a port has a name besides, which is ours until we end. False:
// somebody has it.
bool reserve(unsigned port) {
  const std::string name = "gordian-test-port-" + std::to_string(port);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path + 1, sizeof address.sun_path - 1);  // no file: the first byte is 0
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0) return true;
  close(fd);
  return false;
}

bool is_free(unsigned port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<uint16_t>(port));
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool is_free = bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
  close(fd);
  return is_free;
}

}  // namespace

unsigned free_port() {
  // What the kernel gives out for port 0 may be given again to any connection that is made
  // meanwhile; below that range, which begins at 32768, nobody gets a port without asking for it. A
  // node of a cluster listens to another port besides.
  constexpr unsigned kFirst = 10000, kToBus = 10000, kPorts = 12000;
  for (int turn = 0; turn < 1000; ++turn) {
    const unsigned port =
        kFirst + (static_cast<unsigned>(getpid()) * 131 + static_cast<unsigned>(turn) * 7 +
                  static_cast<unsigned>(rand())) %
                     kPorts;
    if (is_free(port) && is_free(port + kToBus) && reserve(port) && reserve(port + kToBus))
      return port;
  }
  throw std::runtime_error("no free port");
}

RedisServer::RedisServer(const std::vector<std::string>& more, const std::string& config)
    : port_(free_port()), more_(more) {
  char folder[] = "/tmp/gordian-redis-XXXXXX";
  if (mkdtemp(folder) == nullptr) throw std::runtime_error("mkdtemp");
  folder_ = folder;
  if (!config.empty()) {
    config_file_ = folder_ + "/redis.conf";
    std::ofstream(config_file_) << config;
  }
  start();
}

RedisServer::~RedisServer() {
  stop();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void RedisServer::start() {
  std::vector<std::string> words{"redis-server"};
  if (!config_file_.empty()) words.push_back(config_file_);
  words.insert(words.end(),
               {"--port", port_text(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                "--dir", folder_, "--unixsocket", socket_path(), "--hz", "100"});
  words.insert(words.end(), more_.begin(), more_.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    unsetenv("LD_PRELOAD");
    execvp("redis-server", arguments.data());
    _exit(127);
  }
  // It is up once it answers. That it can be connected to says only that it listens there: to its
  // other port, for TLS, and to its Unix socket it begins to listen after that.
  for (int turn = 0; turn < 2000; ++turn) {
    context_.reset(redisConnect("127.0.0.1", static_cast<int>(port_)));
    if (context_ && context_->err == 0 &&
        Reply(static_cast<redisReply*>(redisCommand(context_.get(), "PING"))) != nullptr)
      return;
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) break;
    poll(nullptr, 0, 5);
  }
  throw std::runtime_error("redis-server does not start: is it installed?");
}

void RedisServer::stop() {
  context_.reset();
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void RedisServer::kill() { stop(); }

void RedisServer::pause() {
  ::kill(pid_, SIGSTOP);
  int status = 0;
  waitpid(pid_, &status, WUNTRACED);
}

void RedisServer::resume() { ::kill(pid_, SIGCONT); }

Reply RedisServer::run(std::initializer_list<std::string_view> words) {
  std::vector<const char*> pointers;
  std::vector<size_t> sizes;
  for (const std::string_view word : words) {
    pointers.push_back(word.data());
    sizes.push_back(word.size());
  }
  const auto ask = [&] {
    return Reply(static_cast<redisReply*>(redisCommandArgv(
        context_.get(), static_cast<int>(words.size()), pointers.data(), sizes.data())));
  };
  Reply reply = ask();
  // A server that becomes a master or a replica ends all connections.
  if (reply == nullptr && redisReconnect(context_.get()) == REDIS_OK) reply = ask();
  if (reply == nullptr) throw std::runtime_error("redis-server does not answer");
  if (reply->type == REDIS_REPLY_ERROR) throw std::runtime_error(reply->str);
  return reply;
}

std::string RedisServer::text(std::initializer_list<std::string_view> words) {
  const Reply reply = run(words);
  return reply->str == nullptr ? std::string()
                               : std::string(reply->str, static_cast<size_t>(reply->len));
}

long long RedisServer::number(std::initializer_list<std::string_view> words) {
  return run(words)->integer;
}

long long RedisServer::number_of_errors(std::string_view kind) {
  const std::string count = info("errorstat_" + std::string(kind));  // "count=3"
  return count.empty() ? 0 : std::stoll(count.substr(count.find('=') + 1));
}

std::string RedisServer::info(std::string_view field) {
  const std::string text = '\n' + this->text({"INFO", "everything"});
  const std::string begin = '\n' + std::string(field) + ':';
  const size_t at = text.find(begin);
  if (at == std::string::npos) return {};
  return text.substr(at + begin.size(), text.find('\r', at) - at - begin.size());
}

void wait_until(const std::function<bool()>& it_is_so) {
  for (int turn = 0; turn < 2000; ++turn) {
    if (it_is_so()) return;
    poll(nullptr, 0, 10);
  }
  throw std::runtime_error("it does not happen");
}

Reply parsed(std::string_view bytes) {
  const std::unique_ptr<redisReader, void (*)(redisReader*)> reader(redisReaderCreate(),
                                                                    redisReaderFree);
  redisReaderFeed(reader.get(), bytes.data(), bytes.size());
  void* reply = nullptr;
  redisReaderGetReply(reader.get(), &reply);
  return Reply(static_cast<redisReply*>(reply));
}

gordian::redis::client_options options_for(const RedisServer& server) {
  gordian::redis::client_options options;
  options.servers = {server.url()};
  return options;
}

}  // namespace redis_test
