#!/usr/bin/perl
# Prints the records of a ledger, by docs/en/ledger-format.md alone.
use strict;
use warnings;
my ($folder) = @ARGV;
for my $path (sort glob "$folder/segment-*.jwl") {
    open my $file, '<:raw', $path or die "$path: $!\n";
    while (read($file, my $head, 160)) {
        my ($magic, $kind, undef, undef, $length) = unpack 'a4 V Q< V V', $head;
        die "$path: no block\n" unless $magic eq 'JWB1' && length $head == 160;
        die "$path: cut off\n" unless read($file, my $payload, $length) == $length;
        if ($kind == 0) { print $payload }
        elsif ($kind == 1) {
            STDOUT->flush;
            open my $zstd, '|-:raw', 'zstd -dcq' or die "zstd: $!\n";
            print $zstd $payload;
            close $zstd or die "$path: zstd\n";
        }
    }
}
