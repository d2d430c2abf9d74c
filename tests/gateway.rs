//! The stories at the real LiteLLM, which `tests/litellm/server` installs and starts once for all of them, on a real
//! kube-apiserver. Where this machine lacks what the server needs, they are left out, which `make test` says in one line; with
//! `KEYSMITH_REQUIRE_LITELLM=1`, as in CI, that is a failure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::type_complexity,
    clippy::too_many_arguments,
    reason = "tables and fakes hand things over as they come"
)]
#![allow(clippy::disallowed_methods, reason = "tests may look at secrets and clocks")]

mod support {
    pub mod canary;
    #[allow(dead_code, reason = "the stories in the simulated cluster use it")]
    pub mod classes;
    #[allow(dead_code, reason = "the stories in the simulated cluster use it")]
    pub mod cluster;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod console;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod drivers;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod invariants;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod litellm;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod plane;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod policies;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod process;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod random;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod replica;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod rights;
    pub mod vendor;
    #[allow(dead_code, reason = "the stories in the simulated cluster use the rest")]
    pub mod world;
}
#[allow(dead_code, reason = "stories that take days run in the simulated cluster only")]
mod stories {
    pub mod adopting;
    pub mod around;
    pub mod binary;
    pub mod command;
    pub mod drivers;
    pub mod ending;
    pub mod faults;
    pub mod holding;
    pub mod issuing;
    pub mod keeping;
    pub mod leaking;
    pub mod litellm;
    pub mod minting;
    pub mod models;
    pub mod refusals;
    pub mod replicas;
    pub mod rotating;
    pub mod tokens;
}
#[path = "litellm/same.rs"]
mod same;

use support::world::World;

/// Whether the server can run here. What is left out otherwise, `make test` says.
fn possible() -> bool {
    static LACKS: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let lacks = LACKS.get_or_init(support::litellm::missing);
    assert!(lacks.is_none() || std::env::var_os("KEYSMITH_REQUIRE_LITELLM").is_none(), "{lacks:?}");
    lacks.is_none()
}

macro_rules! tell {
    ($($module:ident: $($story:ident),+;)+) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                if !super::possible() {
                    return;
                }
                let mut world = super::World::at_litellm().await;
                super::stories::$module::$story(&mut world).await;
                world.end().await;
            })+
        })+
    };
}

tell! {
    issuing:
        a_new_key_costs_three_writes_and_one_call_and_its_secret_works,
        deleting_the_resource_revokes_the_key_and_leaves_nothing,
        a_shutdown_in_the_middle_of_a_create_call_finishes_it_first,
        a_kill_in_the_middle_of_twenty_creations_leaves_exactly_twenty_keys_that_work,
        a_settled_key_costs_nothing;
    drivers:
        every_supported_field_reaches_the_vendor,
        an_edit_reaches_the_same_key_where_the_vendor_can,
        everything_it_cannot_do_is_refused_at_once_and_before_any_call,
        an_expiry_is_moved_and_cleared_as_the_vendor_can,
        a_lost_secret_comes_back_with_a_key_that_works,
        a_refused_token_is_reported_and_a_new_one_is_picked_up;
    faults:
        a_lost_answer_to_a_create_call_is_found_again_and_not_sent_twice,
        a_500_after_the_key_was_made_is_no_failure,
        a_truncated_answer_to_a_create_call_is_recovered,
        a_deletion_waits_for_a_vendor_that_is_down;
    keeping:
        a_key_deleted_in_the_console_is_issued_again;
    rotating:
        a_new_trigger_replaces_the_key_once_and_the_old_one_works_on,
        an_annotation_replaces_the_key_once_for_each_value,
        nothing_is_replaced_while_it_is_suspended_and_all_of_it_after;
    leaking:
        a_leak_is_reported_until_the_key_is_revoked_although_the_token_is_refused,
        a_leaked_key_is_revoked_although_its_resource_is_suspended,
        a_leaked_key_is_revoked_at_once_and_never_restored;
    adopting:
        a_key_that_is_shown_once_is_taken_over_and_replaced,
        a_key_of_another_resource_or_cluster_is_not_taken_away,
        an_observed_key_is_shown_and_left_alone;
    ending:
        a_retained_key_still_works_and_is_reported,
        a_key_that_is_to_be_disabled_stays_and_does_not_work,
        a_deletion_during_a_rotation_removes_both_keys,
        a_deletion_without_a_console_token_can_be_forced_by_policy;
    tokens:
        a_restart_between_deletions_still_cleans_up;
    refusals:
        a_secret_that_appears_between_the_read_and_the_write_is_not_touched;
    holding:
        a_namespace_deleted_while_the_operator_runs_ends_as_well;
    minting:
        a_token_is_minted_and_keys_are_made_with_it,
        a_minted_token_is_replaced_and_the_old_one_ends_after_the_new_one_was_used;
    models:
        a_model_that_the_vendor_does_not_list_is_named_with_those_most_like_it,
        a_pattern_is_shown_with_what_it_stands_for;
    litellm:
        an_application_that_calls_all_the_time_notices_no_replacement,
        what_is_in_the_specification_is_what_the_data_plane_enforces,
        drift_by_an_administrator_is_corrected_field_by_field,
        a_spent_budget_is_reported_and_a_new_key_goes_on_with_it,
        a_token_of_lower_rank_takes_no_key_away,
        a_key_that_expires_is_refused_and_replaced,
        an_orphan_is_found_and_deleted_by_the_command;
    binary:
        forty_keys_survive_a_sigkill_in_the_middle;
    replicas:
        the_binary_takes_over_after_sigterm_and_after_sigkill;
}
