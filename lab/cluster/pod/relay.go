package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
)

const (
	// Connections at once; more wait to be accepted.
	connections = 1024
	// For the way to the server and for the header.
	patience = 5 * time.Second
	// For the rest, once one side has said all it has to say.
	remainder = 10 * time.Minute
	// A server that is not there is said once in this time.
	quiet = 10 * time.Second
)

// relay hands TCP connections on to a unix socket, where a PROXY protocol header of version 2 says who the client is.
//
// It listens on the machine's own address, for pods, and on the same port of loopback, for the machine's own programs. What comes
// over loopback comes from the machine: the server is told the machine's address.
func relay(own, socket string) error {
	at, err := netip.ParseAddrPort(own)
	if err != nil || at.Addr().IsLoopback() || at.Addr().IsUnspecified() {
		return fmt.Errorf("relay: %q is not the machine's own address and a port, such as 10.200.0.11:5443", own)
	}
	listener, err := net.Listen("tcp", own)
	if err != nil {
		return err
	}
	loopback, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", at.Port()))
	if err != nil {
		return err
	}
	through := &way{own: at.Addr(), socket: socket, room: make(chan struct{}, connections), said: make(chan struct{}, 1)}
	go through.accept(loopback)
	through.accept(listener)
	return nil
}

// way is where connections go.
type way struct {
	own    netip.Addr
	socket string
	room   chan struct{}
	// Full while a complaint is recent.
	said chan struct{}
}

func (through *way) accept(listener net.Listener) {
	for {
		through.room <- struct{}{}
		client, err := listener.Accept()
		if err != nil {
			through.complain(err)
			time.Sleep(50 * time.Millisecond)
			<-through.room
			continue
		}
		go func() {
			defer func() { <-through.room }()
			defer client.Close()
			through.carry(client.(*net.TCPConn))
		}()
	}
}

func (through *way) carry(client *net.TCPConn) {
	dialed, err := net.DialTimeout("unix", through.socket, patience)
	if err != nil {
		through.complain(err)
		return
	}
	defer dialed.Close()
	server := dialed.(*net.UnixConn)
	server.SetWriteDeadline(time.Now().Add(patience))
	if _, err := server.Write(through.header(client.RemoteAddr(), client.LocalAddr())); err != nil {
		through.complain(err)
		return
	}
	server.SetWriteDeadline(time.Time{})

	ended := make(chan error, 2)
	go func() { ended <- oneWay(server, client) }()
	go func() { ended <- oneWay(client, server) }()
	if err := <-ended; err == nil {
		// Half of it is closed; the other half may go on, not for ever.
		until := time.Now().Add(remainder)
		client.SetDeadline(until)
		server.SetDeadline(until)
		<-ended
	}
}

type half interface {
	io.ReadWriter
	CloseWrite() error
}

// oneWay copies until the end and passes the end on.
func oneWay(to, from half) error {
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.CloseWrite()
}

// header is what the server reads first.
func (through *way) header(from, to net.Addr) []byte {
	source, destination := addressOf(from), addressOf(to)
	if source.Addr().IsLoopback() {
		source = netip.AddrPortFrom(through.own, source.Port())
		destination = netip.AddrPortFrom(through.own, destination.Port())
	}
	header := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21)
	if source.Addr().Is4() && destination.Addr().Is4() {
		header = append(header, 0x11, 0, 12)
		header = append(header, source.Addr().AsSlice()...)
		header = append(header, destination.Addr().AsSlice()...)
	} else {
		from, to := source.Addr().As16(), destination.Addr().As16()
		header = append(header, 0x21, 0, 36)
		header = append(header, from[:]...)
		header = append(header, to[:]...)
	}
	header = binary.BigEndian.AppendUint16(header, source.Port())
	return binary.BigEndian.AppendUint16(header, destination.Port())
}

func addressOf(of net.Addr) netip.AddrPort {
	at := of.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

func (through *way) complain(err error) {
	select {
	case through.said <- struct{}{}:
		fmt.Fprintln(os.Stderr, time.Now().UTC().Format(time.RFC3339), err)
		time.AfterFunc(quiet, func() { <-through.said })
	default:
	}
}
