package tlsagent

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// example is one of client/examples/go.
func example(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	folder := os.Getenv("TLSAGENT_GO_EXAMPLES")
	if folder == "" {
		t.Fatal("set TLSAGENT_GO_EXAMPLES to the folder of the built examples")
	}
	command := exec.Command(filepath.Join(folder, name), args...)
	command.SysProcAttr = notAlone
	return command
}

// said is what an example prints, if it ends well.
func said(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Errorf("%v: %v: %s", command.Args, err, stderr.String())
	}
	return string(out)
}

func TestExampleFetchReadsWhatExampleServeServes(t *testing.T) {
	root, chain, key := files(t, goodLeaf)
	folder := t.TempDir()
	os.WriteFile(filepath.Join(folder, "page"), []byte("a page"), 0o644)
	server := example(t, "serve", "127.0.0.1:0", chain, key, folder)
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { server.Process.Kill(); server.Wait() }()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url = strings.TrimSpace(url) + "page"
	if page := said(t, example(t, "fetch", url, root)); page != "a page" {
		t.Errorf("%q", page)
	}
	if out, err := example(t, "fetch", url).CombinedOutput(); err == nil || !strings.Contains(string(out), "verify") {
		t.Errorf("nobody's CA was trusted: %s, %v", out, err)
	}
}

func TestExampleDecode(t *testing.T) {
	_, chain, _ := files(t, goodLeaf)
	out := said(t, example(t, "decode", chain))
	for _, want := range []string{"CN=leaf", "CN=ours", "DNS:localhost", "EC 256 prime256v1"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in:\n%s", want, out)
		}
	}
	if out, err := example(t, "decode", "/nowhere").CombinedOutput(); err == nil {
		t.Errorf("it decoded nothing: %s", out)
	}
}
