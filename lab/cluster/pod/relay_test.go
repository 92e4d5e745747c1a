package main

import (
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// A relay on loopback, its own address made up, and the server's end of its socket.
func start(t *testing.T) (net.Addr, *net.UnixListener) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "server.sock")
	server, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	through := &way{own: netip.MustParseAddr("10.200.0.11"), socket: socket, room: make(chan struct{}, 2), said: make(chan struct{}, 1)}
	go through.accept(listener)
	return listener.Addr(), server
}

func dial(t *testing.T, at net.Addr) *net.TCPConn {
	t.Helper()
	client, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	client.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() { client.Close() })
	return client.(*net.TCPConn)
}

func accept(t *testing.T, server *net.UnixListener) *net.UnixConn {
	t.Helper()
	server.SetDeadline(time.Now().Add(10 * time.Second))
	taken, err := server.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	taken.SetDeadline(time.Now().Add(10 * time.Second))
	return taken
}

func TestHeader(t *testing.T) {
	through := &way{own: netip.MustParseAddr("10.200.0.11")}
	address := func(text string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)) }
	signature := "0d0a0d0a000d0a515549540a21"
	for _, c := range [][3]string{
		{"10.244.1.5:40000", "10.200.0.1:5443", "11000c" + "0af40105" + "0ac80001" + "9c40" + "1543"},
		{"127.0.0.1:40000", "127.0.0.1:5443", "11000c" + "0ac8000b" + "0ac8000b" + "9c40" + "1543"},
		{"[::ffff:10.244.1.5]:1", "[::ffff:10.200.0.1]:2", "11000c" + "0af40105" + "0ac80001" + "0001" + "0002"},
		{"[fd00::7]:1", "[fd00::1]:2", "210024" + "fd000000000000000000000000000007" + "fd000000000000000000000000000001" + "0001" + "0002"},
	} {
		if got := hex.EncodeToString(through.header(address(c[0]), address(c[1]))); got != signature+c[2] {
			t.Errorf("%s: %s", c[0], got)
		}
	}
}

func TestBothWaysAndHalfClose(t *testing.T) {
	at, listener := start(t)
	client := dial(t, at)
	server := accept(t, listener)
	head := make([]byte, 28)
	if _, err := io.ReadFull(server, head); err != nil || !bytes.Equal(head[16:20], []byte{10, 200, 0, 11}) {
		t.Fatalf("%x %v", head, err)
	}
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	var both sync.WaitGroup
	both.Add(1)
	go func() {
		defer both.Done()
		client.Write(sent)
		client.CloseWrite()
	}()
	got, err := io.ReadAll(server)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d of %d bytes, %v", len(got), len(sent), err)
	}
	both.Wait()
	// The client said all it had; it is still answered.
	go func() {
		server.Write(sent)
		server.Close()
	}()
	back, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(back, sent) {
		t.Fatalf("%d of %d bytes back, %v", len(back), len(sent), err)
	}
}

func TestManyWaitAndAServerThatIsNotThereIsNoEnd(t *testing.T) {
	at, listener := start(t)
	first, second, third := dial(t, at), dial(t, at), dial(t, at)
	accept(t, listener).Close()
	accept(t, listener)
	// Room for two: the third goes on when the first has gone.
	first.Close()
	io.Copy(io.Discard, first)
	accept(t, listener).Close()
	second.Close()
	third.Close()
	path := listener.Addr().String()
	listener.Close()
	lost := dial(t, at)
	if n, _ := io.Copy(io.Discard, lost); n != 0 {
		t.Fatal("an answer from nobody")
	}
	again, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	dial(t, at)
	accept(t, again)
}

func TestFollow(t *testing.T) {
	folder := t.TempDir()
	from, to := filepath.Join(folder, "from"), filepath.Join(folder, "to")
	go follow(from, to)
	holds := func(expected string) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			got, _ := os.ReadFile(to)
			if string(got) == expected {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%q instead of %q", got, expected)
			}
		}
	}
	os.WriteFile(from, []byte("first"), 0o600)
	holds("first")
	os.WriteFile(from+".2", []byte("other"), 0o600)
	os.Rename(from+".2", from)
	holds("other")
	os.Remove(from)
	time.Sleep(2 * interval)
	holds("other")
	os.WriteFile(from, []byte("third"), 0o600)
	holds("third")
}
