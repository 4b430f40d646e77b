"""Runs programs in a container, each as a user of its own and within limits. Runs on CPython 3.6 and later.

Standard input: a JSON document: {"program": TEXT, "questions": [TEXT, ...], "env": {NAME: VALUE}, "jobs": N,
"seconds": N, "memory": BYTES, "processes": N, "file": BYTES, "files": N, "keep": BYTES, "machine": NAME,
"filters": [[[CODE, JT, JF, K], ...], ...]}; the filters are those of seccomp(2), for that machine. Standard
output: a line for each program as it ends: {"index": N, "ended": {"code": N} or {"signal": N} or "time" or
"memory", "stdout": TEXT, "stderr": TEXT}.

This runs as root with the capabilities to change the user and to kill; the programs have none.
"""

import json
import os
import select
import signal
import struct
import sys
import time

try:
    import ctypes
except ImportError:
    ctypes = None

# Every user can be mapped where a container has the usual 65536; no image has these.
FIRST_USER, USERS = 20000, 40000


class Output:
    """The beginning and the end of what comes from a pipe."""

    def __init__(self, pipe, keep):
        self.pipe, self.keep = pipe, keep
        self.start, self.end, self.left_out = b"", b"", 0

    def read(self):
        """Takes what is there; returns whether more may come."""
        try:
            data = os.read(self.pipe, 65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        room = self.keep - len(self.start)
        self.start += data[:room]
        self.end += data[room:]
        if len(self.end) > self.keep:
            self.left_out += len(self.end) - self.keep
            self.end = self.end[-self.keep:]
        return bool(data)

    def text(self):
        text = self.start.decode("utf-8", "replace")
        if self.left_out:
            text += "\n[%d bytes are left out]\n" % self.left_out
        return text + self.end.decode("utf-8", "replace")


def limit(question):
    try:
        import resource
    except ImportError:
        return
    for name, most in (("RLIMIT_DATA", question["memory"]), ("RLIMIT_NPROC", question["processes"]),
                       ("RLIMIT_NOFILE", question["files"]), ("RLIMIT_FSIZE", question["file"]),
                       ("RLIMIT_CORE", 0)):
        try:
            resource.setrlimit(getattr(resource, name), (most, most))
        except (ValueError, OSError):
            pass


def filter_calls(question):
    """Refuses system calls, beyond what the engine refuses; another architecture's have other numbers."""
    if ctypes is None or os.uname().machine != question["machine"] or sys.maxsize < 2 ** 32:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for program in question["filters"]:
        code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
        filters = struct.pack("@HP", len(program), ctypes.addressof(code))
        # PR_SET_NO_NEW_PRIVS, and PR_SET_SECCOMP with SECCOMP_MODE_FILTER.
        if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, filters, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "system calls cannot be filtered")


def environment(question):
    """The image's variables, and those that are set; an empty one is taken away."""
    every = dict(os.environ, **question["env"])
    return {name: value for name, value in every.items() if value}


def die_first():
    """Where memory ends, the kernel ends this process and not the guard."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass


def memory():
    """The memory of each user's processes in bytes, as far as it is their own."""
    used = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        user, own = None, 0
        try:
            with open("/proc/%s/status" % name) as file:
                for line in file:
                    if line.startswith("Uid:"):
                        user = int(line.split()[1])
                    elif line.startswith(("RssAnon:", "RssShmem:")):
                        own += int(line.split()[1]) * 1024
        except (OSError, ValueError, IndexError):
            continue
        used[user] = used.get(user, 0) + own
    return used


def become(user):
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


class Child:
    def __init__(self, index, question):
        self.index, self.user = index, FIRST_USER + index % USERS
        pipes = [os.pipe() for _ in range(3)]
        (stdin, feed), (out, stdout), (err, stderr) = pipes
        self.began = time.time()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                for number, pipe in enumerate((stdin, stdout, stderr)):
                    os.dup2(pipe, number)
                os.closerange(3, 1024)
                os.nice(19)  # A thousand of them must not keep the guard from its work.
                die_first()
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                become(self.user)
                limit(question)
                os.chdir("/")
                filter_calls(question)
                os.execve(sys.executable, [sys.executable, "-c", question["program"]], environment(question))
            except BaseException as error:
                os.write(2, ("guard: %s: %s" % (type(error).__name__, error)).encode("utf-8", "replace"))
            finally:
                os._exit(126)
        for pipe in (stdin, stdout, stderr):
            os.close(pipe)
        for pipe in (feed, out, err):
            os.set_blocking(pipe, False)
        self.feed, self.left = feed, question["questions"][index].encode("utf-8")
        self.stdout, self.stderr = Output(out, question["keep"]), Output(err, question["keep"])
        self.open = {out: self.stdout, err: self.stderr}
        self.write()

    def write(self):
        try:
            self.left = self.left[os.write(self.feed, self.left):]
        except BlockingIOError:
            return
        except OSError:
            self.left = b""
        if not self.left:
            os.close(self.feed)
            self.feed = None

    def poll(self, question, used):
        """How it ended, or nothing."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.end()
            if os.WIFSIGNALED(status):
                return {"signal": os.WTERMSIG(status)}
            return {"code": os.WEXITSTATUS(status)}
        over = None
        if time.time() - self.began > question["seconds"]:
            over = "time"
        elif used.get(self.user, 0) > question["memory"]:
            over = "memory"
        if over:
            self.end()
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        return over

    def end(self):
        """Kills all that its user runs: nobody else is that user."""
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                code = 0
                try:
                    become(self.user)
                    os.kill(-1, signal.SIGKILL)
                except ProcessLookupError:
                    code = 1
                finally:
                    os._exit(code)
            if os.waitpid(pid, 0)[1] != 0:
                return

    def close(self):
        deadline = time.time() + 0.2
        while self.open and time.time() < deadline:
            ready, _, _ = select.select(list(self.open), [], [], 0.02)
            for pipe in ready:
                if not self.open[pipe].read():
                    del self.open[pipe]
        for pipe in (self.feed, self.stdout.pipe, self.stderr.pipe):
            if pipe is not None:
                os.close(pipe)


def main():
    question = json.loads(sys.stdin.buffer.read().decode("utf-8"))
    waiting, running = list(range(len(question["questions"])))[::-1], []
    count, used = 0, {}
    while waiting or running:
        while waiting and len(running) < question["jobs"]:
            running.append(Child(waiting.pop(), question))
        pipes = {pipe: (child, output) for child in running for pipe, output in child.open.items()}
        feeds = {child.feed: child for child in running if child.feed is not None}
        ready, writable, _ = select.select(list(pipes), list(feeds), [], 0.02)
        for pipe in ready:
            child, output = pipes[pipe]
            if not output.read():
                del child.open[pipe]
        for pipe in writable:
            feeds[pipe].write()
        if time.time() > count:
            began, used = time.time(), memory()
            # Counting takes time itself.
            count = time.time() + max(0.05, 3 * (time.time() - began))
        for child in list(running):
            ended = child.poll(question, used)
            if ended is not None:
                child.close()
                running.remove(child)
                line = {"index": child.index, "ended": ended, "stdout": child.stdout.text(),
                        "stderr": child.stderr.text()}
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()


main()
