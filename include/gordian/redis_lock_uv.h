// SPDX-License-Identifier: Apache-2.0
// A client of locks (gordian/redis_lock.h) on a loop of libuv.
//
//   gordian::redis::lock_client client{{.foreign_loop = true}};
//   gordian::redis::uv_driver driver(uv_default_loop(), client);
//   client.async_acquire("invoices", [](gordian::redis::acquisition got) { ... });
//   uv_run(uv_default_loop(), UV_RUN_DEFAULT);
//
// Callbacks run inside uv_run(). They may destroy driver and client, the driver first. What they
// throw would have to pass through C code, and ends the program. The driver keeps the loop alive.
// Thread-safety: as libuv: all on the loop's thread, once the loop runs.
#pragma once

#include <gordian/redis_lock.h>

#include <memory>
#include <new>
#include <system_error>
#include <uv.h>

namespace gordian::redis {

class uv_driver {
 public:
  // Throws std::system_error if libuv refuses.
  uv_driver(uv_loop_t* loop, lock_client& client) : handle_(new handle{{}, &client}) {
    std::unique_ptr<handle> made(handle_);
    if (const int error = uv_poll_init(loop, &made->poll, client.descriptor()); error != 0)
      throw std::system_error(-error, std::generic_category(), "uv_poll_init");
    made->poll.data = made.get();
    made.release();  // close() is for it from now on
    if (const int error = uv_poll_start(&handle_->poll, UV_READABLE, turn); error != 0) {
      close();
      throw std::system_error(-error, std::generic_category(), "uv_poll_start");
    }
  }
  // libuv lets go of it in the next round of the loop.
  ~uv_driver() { close(); }
  uv_driver(const uv_driver&) = delete;
  uv_driver& operator=(const uv_driver&) = delete;

 private:
  struct handle {
    uv_poll_t poll;
    lock_client* client;
  };
  // An error of the poll is looked into as well: the client knows best what is wrong.
  static void turn(uv_poll_t* poll, int, int) noexcept {
    static_cast<handle*>(poll->data)->client->run_ready();
  }
  void close() {
    uv_close(reinterpret_cast<uv_handle_t*>(&handle_->poll),
             [](uv_handle_t* closed) { delete static_cast<handle*>(closed->data); });
  }
  handle* handle_;
};

}  // namespace gordian::redis
