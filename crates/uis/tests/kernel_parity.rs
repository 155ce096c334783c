//! What sockets do, written once and run against a kernel's, through `tokio::net` and through async-net, and against
//! those of uis, through the traits of futures and through tokio's. Where a kernel differs, the test says so with
//! `Net::KERNEL`, and `docs/comparison.md` says why.
//!
//! The kernel is meant to be Linux: others do some of these things differently, and are not asked.
#![cfg(target_os = "linux")]

#[path = "kernel_parity/endings.rs"]
mod endings;
#[path = "kernel_parity/kernel.rs"]
mod kernel;
#[path = "kernel_parity/places.rs"]
mod places;
#[path = "kernel_parity/simulated.rs"]
mod simulated;
#[path = "kernel_parity/streams.rs"]
mod streams;
#[path = "kernel_parity/udp.rs"]
mod udp;
#[path = "kernel_parity/world.rs"]
mod world;

use world::Family;

/// Makes a test of each behaviour in each world.
macro_rules! behaviours {
    ($($file:ident { $($(#[$attr:meta])? $behaviour:ident,)* })*) => {
        in_world!(tokio_net, kernel::on_tokio; $($($(#[$attr])? $file $behaviour)*)*);
        in_world!(async_net, kernel::on_async_net; $($($(#[$attr])? $file $behaviour)*)*);
        in_world!(uis_futures, simulated::with_futures; $($($(#[$attr])? $file $behaviour)*)*);
        in_world!(uis_inside, simulated::inside_one_host; $($($(#[$attr])? $file $behaviour)*)*);
        #[cfg(feature = "tokio")]
        in_world!(uis_tokio, simulated::with_tokio; $($($(#[$attr])? $file $behaviour)*)*);
    };
}

macro_rules! in_world {
    ($world:ident, $run:path; $($(#[$attr:meta])? $file:ident $behaviour:ident)*) => {
        mod $world {
            use super::*;
            $(
                #[test]
                $(#[$attr])?
                fn $behaviour() {
                    $run(Family::V4, async |net| $file::$behaviour(net).await);
                    $run(Family::V6, async |net| $file::$behaviour(net).await);
                }
            )*
        }
    };
}

behaviours! {
    places {
        ends_know_their_addresses,
        port_0_is_any_free_port,
        a_wildcard_takes_what_comes_to_any_address,
        a_wildcard_of_both_families_shows_v4_as_mapped,
        an_address_is_taken_once,
        an_address_is_free_again_though_connections_live_on,
        an_address_that_is_not_ours_cannot_be_had,
        nobody_there_is_refused,
        dialling_nowhere,
        options_are_kept,
    }
    streams {
        bytes_go_both_ways_at_once,
        connections_are_there_before_they_are_accepted,
        each_way_is_closed_by_itself,
        the_end_stays_the_end,
        nothing_is_written_after_the_shutdown,
        peeking_takes_nothing,
        several_buffers_are_one_write,
        an_empty_write_writes_nothing,
        a_long_write_arrives_whole,
        a_writer_waits_for_its_reader,
        readers_share_a_stream,
        halves_have_lives_of_their_own,
        a_dropped_write_half,
        halves_become_a_stream_again,
        acceptors_share_a_listener,
        an_accept_that_is_given_up_takes_nobody,
        a_read_that_is_given_up_takes_nothing,
    }
    endings {
        a_drop_sends_what_was_written,
        a_drop_with_unread_data_resets,
        a_linger_time_of_0_resets,
        what_was_received_is_read_before_the_reset,
        a_reset_wakes_a_reader,
        a_reset_wakes_a_writer,
        a_reset_ends_a_half_closed_stream,
        a_reset_is_an_error_that_can_be_taken,
        after_a_reset,
        options_outlive_the_connection,
        what_is_over_can_be_shut_down,
        writing_to_one_who_has_gone,
        unread_data_after_a_shutdown_breaks_the_pipe,
        both_shut_down_at_once,
        one_who_was_not_accepted_may_go,
        one_who_was_not_accepted_may_reset,
        a_listener_that_goes_resets_who_waits,
        a_listener_that_goes_leaves_what_it_accepted,
    }
    udp {
        datagrams_keep_their_bounds,
        what_does_not_fit_is_lost,
        a_long_datagram_arrives,
        a_datagram_can_be_too_long,
        a_connected_socket_hears_its_peer_only,
        a_socket_can_be_connected_anew,
        a_closed_port_refuses_a_connected_socket,
        a_refusal_wakes_a_receiver,
        a_refusal_comes_before_what_was_received,
        a_socket_that_is_connected_elsewhere_refuses,
        an_unconnected_socket_hears_of_no_refusal,
        a_datagram_can_be_looked_at,
        receivers_share_a_socket,
        a_receive_that_is_given_up_takes_nothing,
        a_socket_takes_its_address_for_as_long_as_it_is_there,
        a_wildcard_socket_answers,
        where_nothing_can_be_sent,
        a_hop_limit_is_kept,
    }
}
