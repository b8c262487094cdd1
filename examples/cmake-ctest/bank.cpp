// SPDX-License-Identifier: Apache-2.0
// A bank with a lock of its own and one in every account. The order is: the bank, then accounts.
#include <array>
#include <cstdio>
#include <mutex>
#include <string_view>
#include <thread>

struct Account {
  std::mutex mutex;
  int balance = 100;
};

struct Bank {
  std::mutex mutex;
  std::array<Account, 8> accounts;
  int turnover = 0;

  void deposit(int number, int amount) {
    std::lock_guard lock(mutex);
    std::lock_guard inner(accounts[number].mutex);
    accounts[number].balance += amount;
    turnover += amount;
  }

  // Takes both accounts without an order of its own: std::scoped_lock tries and backs off.
  void transfer(int from, int to, int amount) {
    std::lock_guard lock(mutex);
    std::scoped_lock both(accounts[from].mutex, accounts[to].mutex);
    accounts[from].balance -= amount;
    accounts[to].balance += amount;
  }

  // The wrong way round. With a deposit at the same time it hangs, some day.
  int audit(int number) {
    std::lock_guard inner(accounts[number].mutex);
    std::lock_guard lock(mutex);
    return turnover - accounts[number].balance;
  }
};

int main(int count, char** words) {
  const std::string_view what = count > 1 ? words[1] : "deposits";
  Bank bank;
  if (what == "deposits") {
    std::thread other([&] { bank.deposit(1, 10); });
    bank.deposit(2, 20);
    other.join();
  } else if (what == "transfers") {
    bank.deposit(0, 10);
    bank.transfer(0, 1, 5);
    bank.transfer(1, 0, 5);
  } else {
    std::printf("%d\n", bank.audit(3));
  }
}
