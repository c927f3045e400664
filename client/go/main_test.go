package tlsagent

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// patience is for what happens at once unless something is wrong: no test asserts a time.
const patience = 60 * time.Second

// A daemon is a tlsagentd under test, on a socket of its own.
type daemon struct {
	command *exec.Cmd
	address string
	folder  string
}

// notAlone ends a program with the tests, however these end.
var notAlone = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}

func startDaemon(args ...string) (*daemon, error) {
	folder, err := os.MkdirTemp("", "tlsagent-go-")
	if err != nil {
		return nil, err
	}
	d := &daemon{address: "unix:" + filepath.Join(folder, "agent.sock"), folder: folder}
	d.command = exec.Command(os.Getenv("TLSAGENTD"), append([]string{"--workers", "2", "--listen", d.address}, args...)...)
	d.command.Stderr = os.Stderr
	d.command.SysProcAttr = notAlone
	if err := d.command.Start(); err != nil {
		return nil, err
	}
	return d, d.await()
}

// await waits until the daemon takes connections.
func (d *daemon) await() error {
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		agent, err := Open(d.address)
		if err == nil {
			return agent.Close()
		}
	}
	return fmt.Errorf("tlsagentd doesn't listen at %s", d.address)
}

func (d *daemon) kill() {
	d.command.Process.Kill()
	d.command.Wait()
	os.RemoveAll(d.folder)
}

// stop ends it as asked: an exit code other than 0 is a failure.
func (d *daemon) stop() error {
	defer os.RemoveAll(d.folder)
	d.command.Process.Signal(syscall.SIGTERM)
	return d.command.Wait()
}

// The tests share one daemon, which is Default.
func TestMain(m *testing.M) {
	if os.Getenv("TLSAGENTD") == "" {
		fmt.Fprintln(os.Stderr, "set TLSAGENTD to the daemon to test with")
		os.Exit(2)
	}
	d, err := startDaemon()
	if err == nil {
		os.Setenv("TLSAGENT_SOCKET", d.address)
		code := m.Run()
		defaultAgent.Close()
		if err = d.stop(); err == nil {
			os.Exit(code)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// ownDaemon is one that a test may kill.
func ownDaemon(t *testing.T, args ...string) (*daemon, *Agent) {
	t.Helper()
	d, err := startDaemon(args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.kill)
	agent, err := Open(d.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { agent.Close() })
	return d, agent
}

// tcpPair gives both ends of a TCP connection.
func tcpPair(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// both runs two functions side by side and gives their errors.
func both(left, right func() error) (error, error) {
	done := make(chan error, 1)
	go func() { done <- left() }()
	rightErr := right()
	return <-done, rightErr
}

// startAgain starts a daemon by the words that started another one.
func startAgain(t *testing.T, words []string) *exec.Cmd {
	t.Helper()
	command := exec.Command(words[0], words[1:]...)
	command.SysProcAttr = notAlone
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return command
}

// pause stops the daemon's threads, and waits until they are.
func (d *daemon) pause(t *testing.T) {
	t.Helper()
	d.command.Process.Signal(syscall.SIGSTOP)
	eventually(t, "the daemon is stopped", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", d.command.Process.Pid))
		for _, path := range threads {
			stat, err := os.ReadFile(path)
			if err != nil || !bytes.Contains(stat, []byte(") T ")) {
				return false
			}
		}
		return len(threads) != 0
	})
}
