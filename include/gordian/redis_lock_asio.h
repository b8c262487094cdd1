// SPDX-License-Identifier: Apache-2.0
// A client of locks (gordian/redis_lock.h) on a loop of Asio, alone or of Boost: whichever is
// included before.
//
//   #include <asio.hpp>                          // or <boost/asio.hpp>
//   #include <gordian/redis_lock_asio.h>
//
//   asio::io_context context;
//   gordian::redis::lock_client client{{.foreign_loop = true}};
//   gordian::redis::asio_driver<asio::posix::stream_descriptor> driver(context, client);
//   client.async_acquire("invoices", [](gordian::redis::acquisition got) { ... });
//   context.run();
//
// Callbacks run inside run(), which what they throw leaves; the driver goes on with the next run().
// They may destroy driver and client, the driver first. The driver keeps run() going.
// Thread-safety: as an object of Asio's. A context that several threads run needs a strand, given
// in its place.
#pragma once

#include <gordian/redis_lock.h>

#include <cerrno>
#include <memory>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace gordian::redis {

template <typename Descriptor>
class asio_driver {
 public:
  // `where`: an executor or a context. Throws what Asio throws, and std::system_error.
  template <typename Where>
  asio_driver(Where&& where, lock_client& client)
      : state_(std::make_shared<state>(std::forward<Where>(where), client)) {
    state_->wait(state_);
  }
  ~asio_driver() {
    state_->client = nullptr;
    try {
      state_->descriptor.close();
    } catch (...) {
      // It is closed with the state, then.
    }
  }
  asio_driver(const asio_driver&) = delete;
  asio_driver& operator=(const asio_driver&) = delete;

 private:
  struct state {
    // A descriptor of its own: Asio's closes it.
    template <typename Where>
    state(Where&& where, lock_client& of)
        : descriptor(std::forward<Where>(where), copy_of(of.descriptor())), client(&of) {}
    static int copy_of(int fd) {
      const int copy = ::dup(fd);
      if (copy < 0) throw std::system_error(errno, std::generic_category(), "dup");
      return copy;
    }
    static void wait(const std::shared_ptr<state>& self) {
      self->descriptor.async_wait(Descriptor::wait_read, [self](const auto& error) {
        if (self->client == nullptr || error) return;
        const again next{self};
        self->client->run_ready();
      });
    }
    // Also if a callback throws; not if it destroyed the driver.
    struct again {
      const std::shared_ptr<state>& self;
      ~again() {
        if (self->client != nullptr) wait(self);
      }
    };
    Descriptor descriptor;
    lock_client* client;  // null: the driver has gone
  };
  std::shared_ptr<state> state_;
};

}  // namespace gordian::redis
